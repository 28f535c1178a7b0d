"""Many tabs of the dashboard in a browser, which has only six connections to a server for all of them."""

from tests.support.browser import Page
from tests.support.fix_browser import go, hide, unhide
from tests.support.fix_system import System
from tests.support.helpers import eventually

_COUNT = "performance.getEntriesByType('resource').length"
_KEEP_STREAMS = """
    window.streams = [];
    window.EventSource = class extends EventSource {
        constructor(...all) { super(...all); window.streams.push(this); }
    }"""


def test_tabs_in_the_background_leave_the_connections_to_others(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 60, "steps": 6})
    for _ in range(7):
        tab = page.tab(f"{shared.url}/#/tasks/{task_id}")
        tab.wait("#live", "live")
        hide(tab)
    go(page, "tasks")
    page.wait("tbody", task_id[-8:])
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202
    unhide(tab)
    tab.wait("#task-status", "cancelled")


def test_a_hidden_task_page_sends_no_requests_and_catches_up(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 60, "steps": 120})
    go(page, f"tasks/{task_id}")
    page.wait("#live", "live")
    page.wait("#progress", "%")
    hide(page)
    page.run("new Promise((done) => setTimeout(done, 500))")  # requests that have begun end
    before, shown = page.run(_COUNT), page.text("#progress")
    seen = shared.task(task_id)["progress"]["fraction"]
    eventually(lambda: shared.task(task_id)["progress"]["fraction"] > seen + 0.04, 20, "some steps later")
    assert page.run(_COUNT) == before
    assert page.text("#progress") == shown
    unhide(page)
    eventually(lambda: page.run(_COUNT) > before, 5, "the page sends requests again")
    eventually(lambda: page.text("#progress") != shown, 5, "the progress is shown")
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202
    page.wait("#task-status", "cancelled")


def test_a_task_page_has_one_stream(page: Page, shared: System) -> None:
    page.send("Page.addScriptToEvaluateOnNewDocument", {"source": _KEEP_STREAMS})
    page.send("Page.reload")
    page.wait("#verdict", "Healthy")
    task_id = shared.submit({"sleep_seconds": 60})
    go(page, f"tasks/{task_id}")
    page.wait("#live", "live")
    is_open = "window.streams.filter((one) => one.readyState !== EventSource.CLOSED).map((one) => one.url)"
    assert len(page.run(is_open)) == 1
    asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length"
    eventually(lambda: page.run(asked) > 2, 10, "readings go on, one by one")
    assert page.count("#health.good") == 1
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202
    page.wait("#task-status", "cancelled")
    eventually(lambda: "overview/stream" in str(page.run(is_open)), 5, "readings come by a stream again")
    assert len(page.run(is_open)) == 1
