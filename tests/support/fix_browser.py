"""Chromium, for what only a browser can tell, and a page of it that has logged in."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, Page, find_chromium
from tests.support.fix_system import System


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program; tests that want it are skipped where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip(
            "no Chromium on this machine: apt-get install chromium-headless-shell (64 MB), to test in a browser"
        )
    return program


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    made = Browser(chromium)
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, shared: System) -> Iterator[Page]:
    """A page that has logged in as people do, on the overview of the shared system."""
    one = log_in(browser, shared)
    yield one
    one.close()


def log_in(browser: Browser, system: System, url: str = "") -> Page:
    """Open a page, by another way to the system if one is named, and log in with the system's key."""
    one = browser.page(url or f"{system.url}/")
    one.type("#api-key", system.key)
    one.click("#login")
    one.wait("#verdict", "Healthy", 20)
    return one


def go(page: Page, place: str) -> None:
    """Go to one of the dashboard's pages."""
    page.run(f"location.hash = '#/{place}'")
