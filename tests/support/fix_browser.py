"""Fixtures for tests that need a browser: Chromium, and a page that has logged in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


def run_with(page: Page, module: str, script: str) -> Any:
    """Evaluate an expression in which the name of a module of the dashboard stands for the module."""
    here = f"document.querySelector('script[type=module]').src.replace('app.js', '{module}.js')"
    return page.run(f"import({here}).then(({module}) => {script})")


def hide(page: Page) -> None:
    """Tell the page that it is hidden, as the browser does with a tab in the background."""
    page.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.run("document.dispatchEvent(new Event('visibilitychange'))")


def unhide(page: Page) -> None:
    page.run("delete document.hidden && document.dispatchEvent(new Event('visibilitychange'))")


@contextmanager
def blocked(page: Page, *patterns: str) -> Iterator[None]:
    """Let the page's requests to these addresses fail during the block, as without a network."""
    page.send("Network.setBlockedURLs", {"urls": list(patterns)})
    yield
    page.send("Network.setBlockedURLs", {"urls": []})
