"""Tables on terminals of every width: a text that people copy is never broken, and whole lines fit."""

import re
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from dtqs.cli.checks.check import FAILED, Check
from dtqs.cli.columns import fitting
from dtqs.cli.doctor import show_checks
from dtqs.cli.output import print_table
from dtqs.cli.queue import QUEUE_COLUMNS, QUEUE_SPARE
from dtqs.cli.show import show_tasks
from dtqs.cli.workers import WORKER_COLUMNS, WORKER_SPARE

ID = "01a20e65-6296-704d-a8d1-e4b70c3f5e56"
AT = "2026-11-24T16:30:55.123456Z"
TASK: dict[str, Any] = {
    "task_id": ID, "task_type": "echo", "status": "in_progress", "attempt": 1, "max_retries": 5, "created_at": AT,
    "tags": ["holiday", "of-a-customer"],
    "progress": {"fraction": 0.4, "message": "two of five steps are done"},
}  # fmt: skip
WORKER = (
    "default/0",
    "node-a.example",
    "19207",
    "busy",
    "image",
    ID,
    "12 s",
    "40% two of five steps",
    "120.5 MiB",
    "1,234",
    "0",
    "290 ms ago",
)
QUEUED = (ID, "echo", "5", "2026-11-24T16:30:55Z", "2026-11-24T16:30:55Z", "0", "holiday,of-a-customer")


def in_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))


def plain(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the printed text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, name: str) -> str:
    in_terminal(monkeypatch, width)
    if name == "tasks":
        show_tasks([TASK, TASK])
    elif name == "workers":
        print_table(WORKER_COLUMNS, [WORKER], spare=WORKER_SPARE)
    else:
        print_table(QUEUE_COLUMNS, [QUEUED], spare=QUEUE_SPARE)
    return plain(capsys)


@pytest.mark.parametrize("width", [80, 90, 100, 132, 200, 300])
@pytest.mark.parametrize(
    ("name", "whole"),
    [("tasks", (ID, "echo", "in_progress")), ("workers", (ID, "19207", "default/0", "busy")), ("queue", (ID, "echo"))],
)
def test_ids_and_pids_are_whole_and_lines_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, name: str, whole: tuple[str, ...]
) -> None:
    lines = shown(monkeypatch, capsys, width, name).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert all(any(text in line for line in lines) for text in whole)


@pytest.mark.parametrize(("name", "columns"), [("tasks", 8), ("workers", 12), ("queue", 7)])
def test_a_wide_terminal_shows_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, columns: int
) -> None:
    assert shown(monkeypatch, capsys, 300, name).splitlines()[1].count("┃") == columns + 1


@pytest.mark.parametrize("name", ["tasks", "workers", "queue"])
def test_a_terminal_too_narrow_for_an_id_gets_plain_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    output = shown(monkeypatch, capsys, 36, name)
    assert "┃" not in output
    assert ID in output


def test_prose_is_broken_between_words_and_no_check_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_terminal(monkeypatch, 80)
    show_checks(
        [
            Check(
                "PostgreSQL",
                FAILED,
                "connection to server at 127.0.0.1, port 1 failed: Connection refused",
                "is it running? see: dtqs config show",
            )
        ]
    )
    lines = plain(capsys).splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert any("PostgreSQL" in line and "failed" in line for line in lines)
    assert "Connection" in " ".join(lines)


def test_columns_without_a_value_go_first_and_then_the_optional_ones_in_their_order() -> None:
    columns, rows = ("id", "a", "b", "c"), [("x" * 10, "1" * 10, "-", "2" * 10)]
    assert fitting(columns, rows, ("a", "b"), 100) == (0, 1, 2, 3)
    assert fitting(columns, rows, ("a", "b"), 41) == (0, 1, 3)
    assert fitting(columns, rows, ("a", "b"), 30) == (0, 3)
    assert fitting(columns, rows, ("a", "b"), 20) == (0, 3)
