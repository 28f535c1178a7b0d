"""The dashboard's pages in a browser, one by one: they show the present data and stay up to date."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, Page
from tests.support.fix_api import NewKey
from tests.support.fix_browser import go, run_with
from tests.support.fix_system import System
from tests.support.helpers import eventually

PHOTO = Path(__file__).parents[2] / "docs/media/rocket.jpg"
MASKED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/masked.json").read_text(encoding="utf-8"))
_ADD_ROWS = """
    INSERT INTO logs (task_id, event, attempt, level, message, data, at)
    SELECT %s::uuid, 'progress', 1, 'info', 'step ' || i, '{"fraction": 0.5}', now()
    FROM generate_series(1, %s) i
    RETURNING 1"""


def run_with_format(page: Page, script: str) -> Any:
    """Evaluate an expression in which `format` is the dashboard's module format.js."""
    return run_with(page, "format", script)


def test_the_dashboard_masks_the_same_values_as_the_terminal(page: Page) -> None:
    values = json.dumps(
        [{"outer": [{name: value}]} for name in MASKED["secret_names"] for value in MASKED["secret_values"]]
    )
    mask = run_with_format(page, "format.MASK")
    assert run_with_format(page, f"{values}.map((one) => format.masked(one))") == [
        {"outer": [{name: mask}]} for name in MASKED["secret_names"] for _ in MASKED["secret_values"]
    ]
    plain: list[object] = [{name: "shown"} for name in MASKED["plain_names"]]
    plain += [{"token": value} for value in MASKED["plain_values"]]
    assert run_with_format(page, f"{json.dumps(plain)}.map((one) => format.masked(one))") == plain
    assert run_with_format(
        page, f"{json.dumps([text for text, _ in MASKED['texts']])}.map((one) => format.masked([{{a: one}}])[0].a)"
    ) == [shown for _, shown in MASKED["texts"]]


def test_invisible_characters_are_made_visible(page: Page) -> None:
    for code in (
        0x1B,
        0x7F,
        0x9B,
        0xAD,
        0x061C,
        0x200B,
        0x200E,
        0x2028,
        0x2029,
        0x202E,
        0x2060,
        0x2066,
        0xFEFF,
        0xE0041,
        0xD800,
    ):
        shown = run_with_format(page, f"format.visible('a' + String.fromCodePoint({code}) + 'b')")
        assert shown in (f"a\\u{code:04x}b", f"a\\u{{{code:x}}}b", f"a{chr(0x2400 + code)}b"), hex(code)
    assert run_with_format(page, "format.visible('caf\\u00e9 \\ud83d\\ude80\\n\\t')") == "caf\u00e9 \U0001f680\n\t"


def test_an_address_with_an_invalid_task_id_shows_no_file_as_a_task(page: Page, shared: System) -> None:
    task = {
        "task_id": "x",
        "task_type": "forged",
        "status": "completed",
        "tags": [],
        "payload": {},
        "result": {},
        "created_at": "2026-01-01T00:00:00Z",
    }
    uri = shared.client.post("/files?name=task.json", content=json.dumps(task).encode()).json()["uri"]
    file_id = uri.removeprefix("upload:")
    for place in (
        f"tasks/..%2Ffiles%2F{file_id}%23",
        f"tasks/..%2Ffiles%2F{file_id}%3Fname=",
        f"submit/..%2Ffiles%2F{file_id}%23",
        "tasks/1234",
    ):
        go(page, "workers")
        page.wait("h1", "Workers")
        go(page, place)
        page.wait("main .banner.bad", "not a task id")
        assert "forged" not in page.text()
    go(page, "workers")
    page.wait("h1", "Workers")
    go(page, "tasks/%E0%A4%A")
    page.wait("main .banner.bad", "%E0%A4%A is not a task id")
    assert page.complaints() == []


def test_a_failed_logout_is_reported_and_can_be_repeated(page: Page, shared: System) -> None:
    page.run("window.before = 1")
    page.send(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    page.click("#logout")
    page.wait("#notes", "Logging out failed")
    assert page.run("window.before") == 1
    page.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    page.click("#logout")
    page.wait("#api-key")
    assert page.run("fetch('tasks').then((answer) => answer.status)") == 401


def test_the_log_of_a_fast_reporting_task_stays_up_to_date_and_open_details_stay_open(
    page: Page, shared: System
) -> None:
    task_id = shared.submit({"sleep_seconds": 20, "steps": 160})
    go(page, f"tasks/{task_id}")
    page.wait(".log", "step 5 of")
    page.wait("#steps")
    page.click("#steps > summary")
    seen = page.count("#steps tbody tr")
    assert page.count("#steps[open]") == 1
    eventually(lambda: page.count("#steps tbody tr") > seen + 8, 10, "more rows")
    assert page.count("#steps[open]") == 1
    assert shared.task(task_id)["status"] == "in_progress", "the page showed all this while the task ran"
    assert shared.client.post(f"/tasks/{task_id}/cancel").status_code == 202


def test_the_attempts_of_a_task_with_a_long_log_show_their_end(page: Page, shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 1, "steps": 1})
    shared.wait_for(task_id, "in_progress")
    assert len(shared.rows(_ADD_ROWS, task_id, 7000)) == 7000
    shared.wait_for(task_id)
    go(page, f"tasks/{task_id}")
    page.wait("#task-status", "completed")
    page.wait(".log", "completed", 30)
    assert "completed" in page.text(".attempts")
    assert "running" not in page.text(".attempts")


def test_a_task_is_not_submitted_without_the_file_that_is_being_uploaded(page: Page) -> None:
    go(page, "submit?task_type=image")
    page.wait("input[type=file]")
    page.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 60_000},
    )
    page.give_file("input[type=file]", PHOTO)
    page.wait(".drop", "%")
    assert page.run("document.getElementById('submit').disabled")
    page.run("document.querySelector('form.submit').requestSubmit()")
    page.wait("#submit-error", "upload")
    page.wait(".drop", "rocket.jpg, 110 KiB, image/jpeg")
    assert not page.run("document.getElementById('submit').disabled")
    page.click("#submit")
    page.wait("#task-status", "completed", 20)


def test_the_list_of_tasks_is_live_and_find_searches_again(page: Page, shared: System) -> None:
    go(page, "tasks?tag=lively")
    page.wait("main", "No tasks match")
    task_id = shared.submit({"sleep_seconds": 3}, tags=["lively"])
    page.wait("tbody", task_id[-8:])
    page.run("document.querySelector('tbody a.rowlink').focus()")
    page.wait("tbody .badge", "completed", 15)
    assert page.run("document.activeElement.getAttribute('href')") == f"#/tasks/{task_id}"
    go(page, "tasks?tag=lively&text=nowhere")
    page.wait("main", "No tasks match")
    second = shared.submit({"found": "nowhere"}, tags=["lively"])
    page.click("#find")
    page.wait("tbody", second[-8:])


def test_the_log_shows_the_text_that_a_search_matched(page: Page, shared: System) -> None:
    task_id = shared.submit({"fail_times": 1})
    shared.wait_for(task_id)
    go(page, f"log?task_id={task_id}")
    page.wait(".log", "asks for 1 failed attempts")
    page.wait(".log td.message code", "TransientError")
    page.type("#task", "no id")
    page.run("document.querySelector('form.filters').requestSubmit()")
    page.wait("main .error", "task_id: a task's whole id is allowed")


def test_single_key_shortcuts_can_be_switched_off(page: Page) -> None:
    def press(key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            page.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "text": key if kind == "keyDown" else ""})

    press("?")
    page.wait("dialog", "Open the row")
    page.click("#single-keys")
    page.run("document.querySelector('dialog form button').click()")
    eventually(lambda: not page.count("dialog"), 5, "the help is closed")
    for key in "?gt":
        press(key)
    assert (page.count("dialog"), page.run("location.hash")) == (0, "")
    page.send("Page.reload")
    page.wait("#verdict", "Healthy")
    press("?")
    assert page.count("dialog") == 0
    page.click("#keys")
    page.click("#single-keys")
    page.run("document.querySelector('dialog form button').click()")
    eventually(lambda: not page.count("dialog"), 5, "the help is closed")
    press("g")
    press("t")
    page.wait("h1", "Tasks")


def test_charts_go_on_when_the_servers_clock_was_set_back(page: Page) -> None:
    """More points of the later clock than a chart keeps would push out each new point."""
    page.wait(".chart .legend", "submitted")
    later = "Array.from({length: 400}, (_, i) => ({at: Date.now() / 1000 + 3600 + i}))"
    run_with(page, "live", f"{{ live.system.points = {later}; }}")
    newest = "live.system.points.at(-1).at < Date.now() / 1000 + 60 && live.system.points.length"
    eventually(lambda: run_with(page, "live", newest), what="a new point")


def test_charts_are_readable_without_colours_and_with_the_keyboard(page: Page, shared: System) -> None:
    shared.wait_for(shared.submit())
    page.wait(".chart .legend", "submitted")
    dash = "[...chart.querySelectorAll('.plot .curve')].map((curve) => getComputedStyle(curve).strokeDasharray)"
    dashes = f"[...document.querySelectorAll('.chart')].map((chart) => {dash})"
    charts = page.run(dashes)
    assert len(charts) == 4
    for lines in charts:
        assert len(set(lines)) == len(lines), charts
    assert page.run(dashes.replace(".plot", ".legend")) == charts
    page.wait(".chart [tabindex='0']")
    page.run("document.querySelector('.chart [tabindex=\"0\"]').focus()")
    eventually(
        lambda: page.run("document.querySelector('.hover:not([hidden])')?.innerText ?? ''").count("submitted"),
        5,
        "the values are shown",
    )
    eventually(
        lambda: int(page.run("document.activeElement.getAttribute('aria-valuenow')")) > 0, 10, "a second reading"
    )
    page.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Home", "windowsVirtualKeyCode": 36})
    assert page.run("document.activeElement.getAttribute('aria-valuenow')") == "0"
    assert page.run("document.activeElement.getAttribute('aria-valuetext')").count("submitted") == 1


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_a_hidden_page_sends_no_requests(browser: Browser, shared: System, new_key: NewKey, scope: str) -> None:
    secret = new_key(f"hidden-{scope}", scope).headers["authorization"].removeprefix("Bearer ")
    page = browser.page(f"{shared.url}/")
    page.type("#api-key", secret)
    page.click("#login")
    page.wait("nav")
    go(page, "log" if scope == "admin" else "overview")
    page.wait("main h2, main table")
    page.run(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.run("new Promise((done) => setTimeout(done, 500))")
    count = "performance.getEntriesByType('resource').length"
    before = page.run(count)
    page.run("new Promise((done) => setTimeout(done, 7000))")
    assert page.run(count) == before
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: page.run(count) > before, 5, "the page sends requests again")
    page.close()


def test_workers_beyond_the_size_of_a_reading_are_counted(page: Page, shared: System) -> None:
    page.wait("main", "1 worker on 1 node")
    with crowd(shared, 509):
        page.wait("main", "510 workers")
        go(page, "workers")
        page.wait("main", "and 10 more workers")


def test_a_worker_whose_heartbeat_is_late_is_marked(page: Page, shared: System) -> None:
    go(page, "workers")
    page.wait("tbody", "ready")
    assert page.count("tbody .why") == 0
    late = "UPDATE workers SET heartbeat_at = now() - interval '3.5 s' WHERE node_name = 'crowd' RETURNING 1"
    with crowd(shared, 1):
        eventually(lambda: shared.rows(late) and "ago" in page.text("tbody .why"), 10, "the late heartbeat is marked")


@contextmanager
def crowd(system: System, count: int) -> Iterator[None]:
    """Add idle workers, each on its own node, for the time of the block."""
    others = """
        INSERT INTO workers (id, node_id, boot_id, node_name, pool, slot, pid, state, heartbeat_at)
        SELECT
            gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'crowd', 'default', i, i, 'ready',
            now() + interval '1 h'
        FROM generate_series(1, %s) i
        RETURNING id"""
    assert len(system.rows(others, count)) == count
    try:
        yield
    finally:
        system.rows("DELETE FROM workers WHERE node_name = 'crowd' RETURNING id")
