"""The dashboard's page of one task in a browser: it recovers from failed requests, and its times go on."""

import json

from tests.support.browser import Page
from tests.support.fix_browser import blocked, go, run_with
from tests.support.fix_system import System
from tests.support.helpers import eventually

_AN_HOUR_FAST = "const real = Date.now.bind(Date); Date.now = () => real() + 3_600_000"


def test_a_task_page_that_cannot_be_read_tries_again(page: Page, shared: System) -> None:
    task_id = shared.submit()
    shared.wait_for(task_id)
    with blocked(page, "*/tasks/*"):
        go(page, f"tasks/{task_id}")
        page.wait("main .banner.bad", "cannot be reached; try again; retrying")
    page.wait("#task-status", "completed")
    page.wait(".log", "completed")
    assert page.count("main .banner.bad") == 0


def test_a_task_is_shown_without_its_log(page: Page, shared: System) -> None:
    task_id = shared.submit({"fail": "permanent"})
    shared.wait_for(task_id)
    with blocked(page, "*/logs*"):
        go(page, f"tasks/{task_id}")
        page.wait("#task-status", "failed")
        page.wait("#error", "permanent")
        page.wait("main .card .banner.bad", "retrying")
    page.wait(".log", "failed")
    assert page.count("main .card .banner.bad") == 0


def test_an_outcome_is_shown_without_a_further_request(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 60})
    go(page, f"tasks/{task_id}")
    page.wait("#live", "live")
    shared.wait_for(task_id, "in_progress")
    page.wait("#task-status", "in progress")
    with blocked(page, "*/tasks/*"):
        assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202
        page.wait("#task-status", "cancelled")
    page.wait(".log", "cancelled")


def test_a_missing_task_is_reported_once(page: Page) -> None:
    go(page, "tasks/00000000-0000-7000-8000-000000000000")
    page.wait("main .banner.bad")
    assert "retrying" not in page.text("main")


def test_times_go_on_by_the_clock_of_the_server(page: Page, shared: System) -> None:
    page.send("Page.addScriptToEvaluateOnNewDocument", {"source": _AN_HOUR_FAST})
    page.send("Page.reload")
    page.wait("#verdict", "Healthy")
    task_id = shared.submit({"sleep_seconds": 60}, tags=["slow"])
    shared.wait_for(task_id, "in_progress")
    go(page, f"tasks/{task_id}")
    page.wait(".attempts", "running for")
    first = page.text(".attempts")
    eventually(lambda: page.text(".attempts") != first, 5, "the running time goes on")
    later = shared.submit(delay_seconds=1000, tags=["slow"])
    failed = shared.submit({"fail": "permanent"}, tags=["slow"])
    texts = [page.text("main")]
    go(page, "tasks?tag=slow")
    page.wait("tbody", task_id[-8:])
    page.wait("tbody [data-title=Duration]")
    texts.append(page.text("main"))
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202
    shared.wait_for(failed)
    go(page, f"tasks/{later}")
    page.wait("main", "due in 16 min")
    go(page, "overview")
    page.wait("main", "in 16 min")
    page.wait("#failures", " ago")
    texts.append(page.text("#failures"))
    assert [text for text in texts if " h " in text or "60 min" in text] == []
    assert shared.client.post(f"/tasks/{later}/cancel").status_code == 200


def test_the_clock_fits_all_answers(page: Page) -> None:
    """A `Date` header has whole seconds. So it says little alone, and nothing against a clock that fits."""
    answers = """(() => {
        const real = Date.now(), at = (moment) => new Date(moment).toUTCString(), found = [];
        const ahead = () => found.push(Math.round((clock.now() - Date.now()) / 100) / 10);
        const answer = (seconds, moment = 0) =>
            clock.learn(at(real + 1000 * seconds), real + moment, real + moment + 20);
        for (const seconds of [0, 3600, 3600.5, 0]) { answer(seconds); ahead(); }
        for (const seconds of [0.1, -7200, null]) { clock.learnAhead(seconds); ahead(); }
        return found;
    })()"""
    same, fast, still_fast, again, noise, slow, unknown = run_with(page, "clock", answers)
    assert [same, again, noise, unknown] == [0, 0, 0, 0]
    assert 3598.5 < fast <= 3600.5
    assert abs(still_fast - fast) < 1.5
    assert slow == -7200


def test_a_large_value_is_shown_in_part_and_built_once(page: Page, shared: System) -> None:
    rows = [[[0] * 20] * 100] * 100
    task_id = shared.submit({"rows": rows, "sleep_seconds": 60, "steps": 120})
    go(page, f"tasks/{task_id}")
    page.wait("pre.json", '"rows"')
    page.wait("main .rest", "the rest is not shown")
    assert page.count("main .rest a") == 1
    assert page.count("main *") < 10_000
    page.run("{ document.querySelector('pre.json').mark = 1; }")
    page.wait("#progress", "%")
    seen = page.text("#progress")
    eventually(lambda: page.text("#progress") != seen, 10, "the page is live")
    assert page.run("document.querySelector('pre.json').mark") == 1
    asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/tasks/%s')).length"
    assert page.run(asked % task_id) < 6, "the payload is not fetched with each progress"
    go(page, "tasks")
    page.wait("tbody", '{"rows":[[[0,0,0')
    assert page.count("main *") < 5_000
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202


def test_a_secret_at_the_end_of_a_shown_part_stays_masked(page: Page, shared: System) -> None:
    url = "https://ada:hunter2@example.org/"
    task_id = shared.submit({"text": "x" * (200_000 - 30) + url, "brief": "x" * 90 + url})
    shared.wait_for(task_id)
    go(page, f"tasks/{task_id}")
    page.wait("main .rest", "not shown")
    assert "hunt" not in page.text("main")
    go(page, "tasks")
    page.wait("tbody", task_id[-8:])
    assert "hunt" not in page.text("tbody")
    assert json.dumps(page.complaints()) == "[]"
