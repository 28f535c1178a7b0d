"""Fixtures for tests that need a browser: Chromium, and a page that has logged in."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, Page, find_chromium
from tests.support.fix_system import System


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; tests that use it are skipped on machines without it."""
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
    """The overview page of the shared system, after a login through the form."""
    one = log_in(browser, shared)
    yield one
    one.close()


def log_in(browser: Browser, system: System, url: str = "") -> Page:
    """Open a page of the system, at `url` if given, and log in with the system's key."""
    one = browser.page(url or f"{system.url}/")
    one.type("#api-key", system.key)
    one.click("#login")
    one.wait("#verdict", "Healthy", 20)
    return one


def go(page: Page, place: str) -> None:
    """Go to one of the dashboard's pages."""
    page.run(f"location.hash = '#/{place}'")
