"""The dashboard's list of tasks in a browser: nobody acts on tasks that are not shown, and all shown ones are live."""

from tests.support.browser import Page
from tests.support.fix_browser import go
from tests.support.fix_system import System
from tests.support.helpers import eventually

_ROWS = "[...document.querySelectorAll('tbody tr')].map((row) => row.dataset.id)"


def later(system: System, count: int, tag: str) -> list[str]:
    """Submit tasks that stay pending, and return their ids, the oldest first."""
    return sorted(system.submit_many(count, delay_seconds=3600, tags=[tag]))


def choose(page: Page, task_id: str) -> None:
    page.click(f"[id='select-{task_id}']")


def test_chosen_tasks_stay_in_the_list_and_are_named_in_the_question(page: Page, shared: System) -> None:
    first = later(shared, 3, "chosen")
    go(page, "tasks?tag=chosen")
    page.wait("tbody", first[0][-8:])
    choose(page, first[0])
    choose(page, first[1])
    others = later(shared, 120, "chosen")
    page.wait("tbody", others[-1][-8:])
    page.wait(".actions", "2 selected, 2 no longer in the list")
    shown = page.run(_ROWS)
    assert set(first[:2]) <= set(shown), "chosen rows stay"
    assert first[2] not in shown
    choose(page, others[-1])
    page.click("#bulk-cancel")
    page.wait("dialog", "Cancel 3 tasks?")
    for task_id in (*first[:2], others[-1]):
        page.wait("dialog .names", f"echo {task_id}")
    assert page.run("document.activeElement.innerText") == "No"
    page.click("#confirm-yes")
    page.wait("#notes", "Cancelled: 3")
    eventually(lambda: first[0] not in page.run(_ROWS), 5, "rows that nobody chose any more leave the list")
    assert [shared.task(task_id)["status"] for task_id in (*first, others[-1])] == [
        "cancelled", "cancelled", "pending", "cancelled",
    ]  # fmt: skip


def test_a_chosen_last_row_does_not_let_the_list_grow(page: Page, shared: System) -> None:
    first = later(shared, 50, "growing")
    go(page, "tasks?tag=growing")
    page.wait("tbody", first[0][-8:])
    choose(page, first[0])
    for _ in range(2):
        newest = later(shared, 30, "growing")
        page.wait("tbody", newest[-1][-8:])
        eventually(lambda: len(page.run(_ROWS)) == 51, 5, "the list has its length and the chosen row")
    assert page.run(_ROWS)[-1] == first[0]
    page.wait(f"tr.old[data-id='{first[0]}']")
    for count in (101, 110):
        page.click("#more:not([disabled])")
        eventually(lambda wanted=count: len(page.run(_ROWS)) == wanted, 10, "the next rows")  # type: ignore[misc]
    assert page.run(_ROWS)[-50:] == first[::-1]
    assert page.count("tr.old") == 0
    assert shared.client.post(f"/tasks/{first[0]}/cancel").status_code == 200
    page.wait(f"tr[data-id='{first[0]}'] .badge", "cancelled", 15)


def test_rows_below_the_newest_page_are_live(page: Page, shared: System) -> None:
    tasks = later(shared, 120, "deep")
    for status in ("", "&status=pending"):
        go(page, f"tasks?tag=deep{status}")
        page.wait("tbody", tasks[-1][-8:])
        for _ in range(2):
            count = len(page.run(_ROWS))
            page.click("#more:not([disabled])")
            eventually(lambda seen=count: len(page.run(_ROWS)) > seen, 10, "more rows")  # type: ignore[misc]
        ended = tasks.pop(0)
        page.wait("tbody", ended[-8:])
        assert shared.client.post(f"/tasks/{ended}/cancel").status_code == 200
        if status:
            eventually(lambda gone=ended: gone not in page.run(_ROWS), 15, "it is not pending")  # type: ignore[misc]
        else:
            page.wait(f"tr[data-id='{ended}'] .badge", "cancelled", 15)
        assert set(page.run(_ROWS)) >= set(tasks)
    assert page.complaints() == []
