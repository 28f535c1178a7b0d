"""The screen without a terminal: frames fit, keys and clicks act as shown, a task's text controls nothing."""

import dataclasses
import importlib
from typing import Any

import pytest
from rich.cells import cell_len

from dtqs.amounts import moment
from dtqs.console.screen import Screen
from dtqs.console.snapshot import Detail, LogsWanted, Snapshot, TaskWanted
from dtqs.readings import Failure, Health, QueuedTask, SystemLogRow, WorkerCounts, WorkerPoolReading
from dtqs.task import Status, TaskRecord
from tests.unit.readings.values import HEALTHY, WORKER, changed, waiting

HOSTILE = "\x1b[2Jevil\x07\r\n\u202e电影🎬"
IDS = [f"01a20f62-c58a-7434-8918-84a0160d85{i:02d}" for i in range(30)]
AT = "2026-11-24T20:57:12.764659Z"
NOW = 1795553900.0


def queued(task_id: str, due: bool = True, attempts: int = 0) -> QueuedTask:
    return QueuedTask(task_id, HOSTILE, 5, AT, AT, due, attempts, (HOSTILE, "x"))


def entry(number: int) -> SystemLogRow:
    return SystemLogRow(
        number,
        AT,
        IDS[0],
        HOSTILE,
        "failed",
        2,
        "error",
        f"line {number} {HOSTILE}",
        {"token": "geheim", HOSTILE: HOSTILE},
    )


def record(**fields: Any) -> TaskRecord:
    payload = {"password": "geheim", HOSTILE: [HOSTILE]}
    made = TaskRecord(
        IDS[0], HOSTILE, Status.FAILED, 5, 2, 5, payload, None, {"type": "X", "message": HOSTILE}, (HOSTILE,), None,
        IDS[1], AT, AT, AT, AT
    )  # fmt: skip
    return dataclasses.replace(made, **fields)


BUSY = dataclasses.replace(
    WORKER,
    state="busy",
    task_id=IDS[2],
    task_type=HOSTILE,
    busy_seconds=3.0,
    fraction=0.4,
    message=HOSTILE,
    node_name=HOSTILE,
)
READING = changed(
    workers=(BUSY, *(dataclasses.replace(WORKER, worker_id=f"w{i}", slot=i) for i in range(2, 12))),
    depth=waiting(12345, 3.0),
    next_tasks=tuple(queued(task_id) for task_id in IDS),
    later_tasks=(queued(IDS[3], False), queued(IDS[4], False, 2)),
    failures=tuple(Failure(task_id, HOSTILE, Status.FAILED, AT, HOSTILE) for task_id in IDS[5:9]),
    alarms=(HOSTILE,),
)
SNAPSHOT = Snapshot(
    reading=READING,
    good=READING,
    logs=tuple(entry(number) for number in range(50)),
    logs_of=LogsWanted(),
    listing=(record(), record(status=Status.COMPLETED)),
    listing_of=TaskWanted(status="failed"),
    detail=Detail(IDS[0], record(), tuple(entry(number) for number in range(40))),
)


class Trial:
    """A screen with a snapshot; it notes the actions that were requested."""

    def __init__(
        self, snapshot: Snapshot = SNAPSHOT, read_only: bool = False, width: int = 80, height: int = 24
    ) -> None:
        self.acts: list[tuple[str, str]] = []
        self.screen = Screen(None if read_only else lambda action, task_id: self.acts.append((action, task_id)))
        self.screen.snapshot = snapshot
        self.width, self.height = width, height
        self.draw()

    def draw(self) -> list[str]:
        return [line.text for line in self.screen.frame(self.width, self.height, NOW)]

    def press(self, *keys: str) -> str:
        for key in keys:
            self.screen.press(key)
            self.draw()
        return "\n".join(self.draw())

    def type(self, text: str) -> str:
        return self.press(*text)

    @property
    def selected(self) -> list[str]:
        return [
            line.text
            for line in self.screen.frame(self.width, self.height, NOW)
            if line.spans and line.spans[0].style == "selected"
        ]


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (60, 15), (20, 5), (7, 3)])
@pytest.mark.parametrize(
    "keys",
    [
        ("1",),
        ("2",),
        ("2", "s", "s", "s", "s"),
        ("3",),
        ("3", "down", "down"),
        ("1", "down", "enter"),
        ("?",),
        ("2", "/", "x"),
        ("2", "down", "c"),
    ],
)
@pytest.mark.parametrize("state", ["read", "unread", "away"])
def test_every_frame_fits_and_is_printable(size: tuple[int, int], keys: tuple[str, ...], state: str) -> None:
    away = dataclasses.replace(READING, totals=None, database=Health("PostgreSQL", "away", HOSTILE))
    snapshots = {
        "read": SNAPSHOT,
        "unread": Snapshot(),
        "away": dataclasses.replace(SNAPSHOT, reading=away, away_seconds={"PostgreSQL": 40.0}),
    }
    trial = Trial(snapshots[state], width=size[0], height=size[1])
    trial.press(*keys)
    rows = trial.draw()
    assert len(rows) == size[1]
    assert {cell_len(row) for row in rows} == {size[0]}
    assert all(row.isprintable() for row in rows)


def test_the_first_screen_tells_whether_the_system_is_healthy() -> None:
    assert "✓ healthy" in Trial(Snapshot(HEALTHY, HEALTHY)).press()
    shown = Trial(Snapshot(changed(alarms=("no worker is running",)), HEALTHY)).press()
    assert "✗ 1 alarm" in shown
    assert "✗ no worker is running" in shown


def test_an_unreachable_server_is_named_with_its_outage_and_the_rest_is_grey() -> None:
    away = changed(totals=None, database=Health("PostgreSQL", "away", "connection refused"))
    trial = Trial(Snapshot(away, HEALTHY, {"PostgreSQL": 42.4}))
    assert "PostgreSQL away for 42 s: connection refused" in trial.press()
    drawn = trial.screen.frame(80, 24, NOW)
    assert {span.style for line in drawn[4:-1] for span in line.spans if span.text.strip()} <= {"dim"}


def test_keys_tab_and_clicks_change_tabs() -> None:
    trial = Trial()
    seen = [trial.screen.tab]
    for key in ("2", "3", "tab", "backtab", "1"):
        trial.press(key)
        seen.append(trial.screen.tab)
    trial.screen.click(trial.draw()[0].index("2 Queue"), 0)
    assert [*seen, trial.screen.tab] == ["overview", "queue", "logs", "overview", "logs", "overview", "queue"]


def test_a_selected_task_is_opened_and_closed_again() -> None:
    trial = Trial()
    shown = trial.press("2", "down", "enter")
    assert f"Task {IDS[0]}" in shown
    assert "geheim" not in shown
    assert trial.screen.wanted.task_id == IDS[0]
    assert "Next" in trial.press("escape")


@pytest.mark.parametrize("entries", [0, 1, 2])
def test_a_task_is_opened_even_if_its_log_is_short(entries: int) -> None:
    """A waiting task has no log row."""
    detail = Detail(
        IDS[0], record(status=Status.PENDING, error=None), tuple(entry(number) for number in range(entries))
    )
    shown = Trial(dataclasses.replace(SNAPSHOT, detail=detail), height=60).press("2", "down", "enter")
    assert f"Task {IDS[0]}" in shown
    assert shown.partition("── Log")[2].count("line ") == entries


@pytest.mark.parametrize("key", ["enter", "c", "r"])
def test_a_key_for_a_task_first_selects_one(key: str) -> None:
    trial = Trial()
    trial.press("2", key)
    assert len(trial.selected) == 1
    assert (trial.screen.opened, trial.screen.question) == ([], None)
    trial.press(key)
    assert trial.screen.opened or trial.screen.question


def test_a_retried_task_can_be_opened_from_its_retry() -> None:
    trial = Trial()
    trial.press("2", "down", "enter", "down", "enter")
    assert trial.screen.opened == [IDS[0], IDS[1]]


LONG = dataclasses.replace(
    SNAPSHOT,
    good=changed(workers=tuple(dataclasses.replace(WORKER, worker_id=f"w{i}", slot=i) for i in range(10_000))),
    logs=tuple(dataclasses.replace(entry(0), log_id=number) for number in range(10_000)),
    listing=tuple(record(task_id=f"01a20f62-c58a-7434-8918-{number:012d}") for number in range(10_000)),
)


@pytest.mark.parametrize(
    ("keys", "writer"),
    [
        (("1",), "overview._worker"),
        (("2",), "queue._record"),
        (("3",), "logs.log_line"),
        (("3", "g"), "logs.log_line"),
    ],
)
def test_a_redraw_writes_only_the_rows_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...], writer: str
) -> None:
    trial = Trial(LONG)
    trial.screen.tasks = TaskWanted(status="failed")
    trial.press(*keys, "down")
    write = getattr(importlib.import_module(f"dtqs.console.{writer.partition('.')[0]}"), writer.partition(".")[2])
    written = list[object]()

    def counted(entry: object, width: int, *now: float) -> object:
        written.append(entry)
        return write(entry, width, *now)

    monkeypatch.setattr(f"dtqs.console.{writer}", counted)
    for key in ("pagedown", "down", "pageup"):
        written.clear()
        trial.screen.press(key)
        trial.draw()
        assert 0 < len(written) <= trial.height


def test_an_open_task_is_written_anew_only_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial()
    trial.press("1", "down", "enter")
    trial.screen.opened = [IDS[0]]
    first = trial.draw()
    monkeypatch.setattr("dtqs.console.task.paragraph", lambda *_: pytest.fail("written again"))
    assert trial.draw() == first
    trial.screen.snapshot = dataclasses.replace(SNAPSHOT, detail=Detail(IDS[0], record(), (entry(0),)))
    with pytest.raises(pytest.fail.Exception):
        trial.draw()


def test_a_click_selects_and_a_second_click_opens() -> None:
    trial = Trial()
    row = next(number for number, text in enumerate(trial.press("2").split("\n")) if "01a20f62…8503" in text)
    trial.screen.click(5, row)
    assert "01a20f62…8503" in trial.selected[0]
    trial.screen.click(5, row)
    assert trial.screen.opened == [IDS[3]]


def test_an_action_asks_first() -> None:
    trial = Trial()
    assert "cancel task" in trial.press("2", "down", "c")
    trial.press("n")
    assert trial.acts == []
    trial.press("r", "y")
    trial.press("c", "Y")
    assert trial.acts == [("retry", IDS[0]), ("cancel", IDS[0])]


def test_a_question_is_answered_by_yes_only() -> None:
    trial = Trial()
    for key in ("q", "enter", "escape", "1", "c"):
        trial.press("2", "down", "c", key)
    assert trial.acts == []
    assert trial.screen.running


def test_read_only_offers_no_action() -> None:
    trial = Trial(read_only=True)
    shown = trial.press("2", "down", "c", "y")
    assert trial.acts == []
    assert "cancel" not in shown
    assert "Actions" not in trial.press("?")


def test_the_notice_of_an_action_stays_until_the_next_key_or_for_some_seconds() -> None:
    trial = Trial(dataclasses.replace(SNAPSHOT, notice="cancelled x"))
    assert "cancelled x" in trial.draw()[-1]
    assert "cancelled x" not in trial.screen.frame(80, 24, NOW + 30)[-1].text
    trial = Trial(dataclasses.replace(SNAPSHOT, notice="cancelled x"))
    trial.press("1")
    assert "cancelled x" not in trial.draw()[-1]


def test_a_repeated_notice_is_shown_again() -> None:
    trial = Trial(dataclasses.replace(SNAPSHOT, notice="cancel: PostgreSQL is away", notice_number=1))
    trial.press("1")
    trial.screen.snapshot = dataclasses.replace(SNAPSHOT, notice="cancel: PostgreSQL is away", notice_number=2)
    assert "cancel: PostgreSQL is away" in trial.draw()[-1]


def test_a_narrow_screen_shows_the_important_keys_at_its_foot() -> None:
    trial = Trial(width=60, height=15)
    for tab in ("1", "2"):
        foot = trial.press(tab).split("\n")[-1]
        assert "c cancel" in foot
        assert "r retry" in foot
        assert "?" in foot
    asked = trial.press("2", "down", "c").split("\n")[-1]
    assert "y yes   n no" in asked


def test_a_failed_read_is_reported() -> None:
    trial = Trial(dataclasses.replace(SNAPSHOT, fault="PostgreSQL: canceling statement"))
    assert "PostgreSQL: canceling statement" in trial.press("3").split("\n")[-1]
    trial = Trial(dataclasses.replace(Snapshot(HEALTHY, HEALTHY), broken="KeyError: 'x'"))
    shown = trial.press("1")
    assert "✗ reading failed" in shown
    assert "KeyError: 'x'" in shown
    assert "healthy" not in shown


def test_a_wrong_filter_is_reported_and_can_be_corrected() -> None:
    trial = Trial()
    trial.press("2", "/")
    trial.type("status:faild")
    assert "✗ status: allowed: pending" in trial.press("enter").split("\n")[-1]
    trial.press("backspace", "backspace", "backspace")
    trial.type("iled")
    trial.press("enter")
    assert trial.screen.wanted.tasks == TaskWanted("failed")


def test_a_search_goes_further_where_there_may_be_more() -> None:
    trial = Trial(dataclasses.replace(SNAPSHOT, listing_more=True))
    trial.press("2", "s", "s", "s", "s")
    assert "m searches further" in trial.press("m")
    assert trial.screen.wanted.further == 1
    trial.press("s")
    assert trial.screen.wanted.further == 0


def test_a_payload_is_formatted_once_and_not_for_each_frame() -> None:
    trial = Trial()
    trial.press("2", "down", "enter")
    first = trial.screen._kept["values"]
    trial.draw()
    trial.screen.snapshot = dataclasses.replace(SNAPSHOT, detail=Detail(IDS[0], record()))
    trial.draw()
    assert trial.screen._kept["values"] is first
    trial.screen.snapshot = dataclasses.replace(SNAPSHOT, detail=Detail(IDS[0], record(payload={"other": 1})))
    assert '"other": 1' in "\n".join(trial.draw())


def test_a_filter_is_typed_cycled_and_cleared() -> None:
    trial = Trial()
    trial.press("2", "/")
    trial.type("status:failed type:emailq")
    trial.press("backspace", "enter")
    assert trial.screen.wanted.tasks == TaskWanted("failed", "email")
    trial.press("s")
    assert trial.screen.tasks.status == "cancelled"
    trial.press("escape")
    assert trial.screen.tasks == TaskWanted()


def test_the_log_is_followed_until_a_row_is_selected() -> None:
    trial = Trial()
    assert "line 49 " in trial.press("3")
    trial.press("up")
    later = dataclasses.replace(SNAPSHOT, logs=tuple(entry(number) for number in range(10, 60)))
    trial.screen.snapshot = later
    assert "line 59 " not in "\n".join(trial.draw())
    assert "line 49 " in trial.selected[0]
    assert "line 59 " in trial.press("f")


def test_the_log_is_filtered_by_level_task_and_text() -> None:
    trial = Trial()
    trial.press("3", "l", "l")
    assert trial.screen.wanted.logs.level == "warning"
    trial.screen.snapshot = dataclasses.replace(SNAPSHOT, logs_of=LogsWanted("warning"))
    trial.draw()
    trial.press("up", "t", "/")
    trial.type("no luck")
    trial.press("enter")
    assert trial.screen.wanted.logs == LogsWanted("warning", IDS[0], "no luck")
    assert "Searching" in trial.press()
    trial.press("escape")
    assert trial.screen.wanted.logs == LogsWanted()


def test_text_below_the_screen_can_be_scrolled_to() -> None:
    trial = Trial(height=15)
    assert "11 ready" not in trial.press("1")
    assert "11 ready" in trial.press("end")
    assert "DTQS" in trial.press("home")
    for _ in range(40):
        trial.press("down")
    assert "11 ready" in trial.selected[0]


def test_q_ends_the_console() -> None:
    trial = Trial()
    trial.press("q")
    assert not trial.screen.running


def test_a_long_reason_is_shown_whole_in_the_tasks_view() -> None:
    reason = "the relay refused every recipient: " + ", ".join(
        f"ada{number}@example.org is unknown here" for number in range(6)
    )
    failed = SystemLogRow(1, AT, IDS[0], "email", "failed", 1, "error", reason, {"type": "MailRefused"})
    snapshot = dataclasses.replace(SNAPSHOT, detail=Detail(IDS[0], record(payload={}), (failed,)))
    trial = Trial(snapshot, width=80, height=60)
    shown = " ".join(trial.press("2", "down", "enter").split())
    assert shown.count(reason) == 2, shown  # once among the attempts, once in the log


@pytest.mark.parametrize("keys", [("pageup",), ("f",), ("up",), ("home",)])
@pytest.mark.parametrize("filters", [("/", "x", "enter"), ("l",)])
def test_rows_of_the_filter_before_are_never_held_as_matches(keys: tuple[str, ...], filters: tuple[str, ...]) -> None:
    trial = Trial()
    assert "Searching" in trial.press("3", *filters)
    shown = trial.press(*keys)
    assert "Searching" in shown
    found = dataclasses.replace(SNAPSHOT, logs=(entry(77),), logs_of=trial.screen.wanted.logs)
    trial.screen.snapshot = found
    shown = trial.press()
    assert "line 77" in shown
    assert "line 1 " not in shown
    trial.press("f")
    trial.screen.snapshot = dataclasses.replace(found, logs=(entry(78),))
    assert "line 77" in trial.press(), "held"
    assert "line 78" in trial.press("f"), "followed"


def test_times_of_tasks_are_compared_with_the_clock_of_the_database() -> None:
    """The clock of the console's host is an hour behind."""
    due = dataclasses.replace(queued(IDS[0]), due_at="2026-11-24T20:57:00Z")
    later = dataclasses.replace(queued(IDS[1], due=False), due_at="2026-11-24T20:59:30Z")
    good = changed(next_tasks=(due,), later_tasks=(later,), clock_ahead_seconds=3600.0)
    running = record(status=Status.IN_PROGRESS, started_at="2026-11-24T20:57:30Z", finished_at=None)
    screen = Screen(None)
    screen.snapshot = Snapshot(good, good, detail=Detail(IDS[0], running))
    now = moment("2026-11-24T20:58:00Z") - 3600.0
    screen.press("2")
    text = "\n".join(line.text for line in screen.frame(120, 24, now))
    assert "60 s" in text
    assert "in 90 s" in text
    screen.opened.append(IDS[0])
    assert "running for 30 s" in "\n".join(line.text for line in screen.frame(120, 24, now))


def test_workers_beyond_the_list_count_in_the_head_and_in_their_pool() -> None:
    counts = WorkerCounts(5000, 4100, 0, 5000, 0, 900, 1, 0)
    pools = (WorkerPoolReading("node", "default", 5000, 4100, 0, None, 1.0),)
    reading = changed(workers=(WORKER,), more_workers=4999, worker_counts=counts, worker_pools=pools)
    shown = Trial(Snapshot(reading, reading), width=100, height=50).press()
    assert "5,000 workers" in shown
    assert "4,100 of 5,000 busy" in shown
