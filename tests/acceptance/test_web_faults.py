"""The dashboard in a browser during outages: it names the missing server, marks old values, and recovers by itself."""

import functools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtqs.deadline import Deadline
from dtqs.sandbox.postgres import PrivatePostgres
from tests.support.browser import Browser, Page
from tests.support.fix_api import NewKey, open_store
from tests.support.fix_browser import go, log_in
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually
from tests.support.relay import Relay

_CONTRAST = (Path(__file__).parents[1] / "data/contrast.js").read_text(encoding="utf-8")
_WATCH_ALERTS = """
    window.alerts = [];
    const note = () => document.querySelectorAll('main .banner.bad, [role=alert]').forEach(
        (one) => one.textContent && window.alerts.push(one.textContent));
    new MutationObserver(note).observe(document.body, {childList: true, subtree: true, characterData: true})"""


@contextmanager
def frozen(system: System) -> Iterator[None]:
    """Stop every process of the API during the block."""
    assert system.api
    os.killpg(system.api.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(system.api.pid, signal.SIGCONT)


def readings(page: Page) -> int:
    """Return how many readings the page has had, as its charts show."""
    return int(page.run("document.querySelector('.chart [role=slider]')?.getAttribute('aria-valuemax') ?? 0"))


def has_more(page: Page, than: int) -> bool:
    return readings(page) > than


def test_values_of_a_frozen_api_are_marked_as_old_and_not_called_healthy(page: Page, shared: System) -> None:
    shared.wait_for(shared.submit({"fail": "permanent"}))
    page.wait("#failures", "permanent error")
    for place, old in (("overview", "#failures"), ("workers", "table")):
        go(page, place)
        page.wait(old)
        with frozen(shared):
            alert = "#verdict" if place == "overview" else "#alarms"
            page.wait(alert, "The API cannot be reached", 15)
            assert "The data below is from" in page.text(alert)
            assert "Healthy" not in page.text()
            assert page.count(f".stale {old}") == 1
            for scheme in ("light", "dark"):
                page.look(1280, 900, scheme)
                assert page.run(_CONTRAST) == [], (place, scheme)
                page.run("document.querySelector('main').style.opacity = 0.55")
                assert page.run(_CONTRAST) != [], "transparent text has less contrast"
                page.run("document.querySelector('main').style.opacity = ''")
        eventually(lambda: not page.count(".stale"), 15, f"{place} is live again")
        page.look(1280, 900)
    go(page, "overview")
    page.wait("#verdict", "Healthy")
    with frozen(shared):
        page.wait(".stale", seconds=15)
        go(page, "submit")
        page.wait("h1", "Submit")
        assert page.count(".stale") == 0, "the mark belongs to the page that was left"


def test_a_stream_that_reconnects_at_once_causes_no_alarm(browser: Browser, shared: System) -> None:
    relay = Relay(int(shared.url.rpartition(":")[2]))
    try:
        page = log_in(browser, shared, f"http://127.0.0.1:{relay.port}/")
        page.run(_WATCH_ALERTS)
        for _ in range(2):
            before = readings(page)
            relay.cut()
            eventually(functools.partial(has_more, page, before + 1), 10, "readings go on")
        assert page.run("window.alerts") == []
        relay.is_open = False
        relay.cut()
        page.wait("#verdict", "The API cannot be reached", 15)
        relay.is_open = True
        page.wait("#verdict", "Healthy", 15)
        page.close()
    finally:
        relay.close()


def test_a_page_whose_key_is_revoked_shows_the_login(browser: Browser, shared: System, new_key: NewKey) -> None:
    page = browser.page(f"{shared.url}/")
    page.type("#api-key", new_key("leaver", "admin").headers["authorization"].removeprefix("Bearer "))
    page.click("#login")
    page.wait("#verdict", "Healthy", 20)
    with open_store(shared) as store:
        store.api_keys.revoke("leaver")
    page.wait("#api-key", seconds=20)
    assert "Healthy" not in page.text()
    page.close()


def test_the_page_opens_and_reports_an_outage_of_postgresql(
    browser: Browser, system: Factory, own_postgres: PrivatePostgres
) -> None:
    one = system(dsn=own_postgres.dsn)
    page = log_in(browser, one)
    for away, back in ((own_postgres.freeze, own_postgres.thaw), (own_postgres.kill, own_postgres.start)):
        away()
        page.wait("#verdict", "PostgreSQL is away", 15)
        page.send("Page.reload")
        page.wait("main .banner.bad", "PostgreSQL is away", 15)
        assert "API cannot be reached" not in page.text()
        back()
        own_postgres.wait_ready(Deadline(60))
        page.wait("#verdict", "Healthy", 40)
    page.close()
