"""The page of `dtqs top`: it fits, it names problems, and text of a task cannot control the terminal."""

import dataclasses
import os
import tty
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from dtqs.cli.top import KeyReader, page
from dtqs.readings import (
    BrokerReading,
    Depth,
    Failure,
    Health,
    History,
    Latency,
    QueuedTask,
    Reading,
    SystemTotals,
    WorkerCounts,
    WorkerReading,
)
from dtqs.task import Status

EVIL = "\x1b[2J[red]\n"
AT = 1_800_000_000.0
TIME = "2027-01-15T08:00:00Z"


def reading(workers: int, waiting: int, alarms: tuple[str, ...] = ()) -> Reading:
    """Return a reading with this number of busy workers and of waiting tasks."""
    busy = [
        WorkerReading(f"w{n}", "node", "default", n, n, "busy", f"t{n}", EVIL, 3.0, 0.5, EVIL, 1 << 20, 1, 0, 0.5)
        for n in range(workers)
    ]
    queued = tuple(QueuedTask(f"q{n}", EVIL, 5, TIME, TIME, True, 0, ()) for n in range(waiting))
    failures = (Failure("f", EVIL, Status.FAILED, TIME, EVIL),) * 10
    depth = Depth(waiting, 0, workers, (0,) * 5 + (waiting,) + (0,) * 4, (("echo", waiting),), 3.0, False)
    health = Health("PostgreSQL", "ok", "version 15"), Health("RabbitMQ", "away", EVIL)
    return Reading(
        AT,
        *health,
        tuple(busy),
        (),
        SystemTotals(*[0] * 9),
        depth,
        queued,
        (),
        failures,
        Latency(*[None] * 4),
        BrokerReading(0, 1),
        alarms,
    )


def drawn(one: Reading, width: int, height: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(page(one, History(), width, height))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (60, 24)])
def test_the_page_fits(width: int, height: int) -> None:
    lines = drawn(reading(50, 500, ("RabbitMQ is away",)), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any(line.startswith("q0 ") for line in lines)
    assert any(line.startswith("f ") for line in lines)
    assert sum(line.startswith("default/") for line in lines) >= 2


def test_alarms_are_at_the_top() -> None:
    assert drawn(reading(0, 0), 120, 30)[0].split("  ")[2] == "healthy"
    lines = drawn(reading(0, 0, (f"RabbitMQ is away{EVIL}",)), 120, 30)
    assert "1 alarm " in lines[0]
    assert lines[1] == "! RabbitMQ is away\\x1b[2J[red]\\n"


def test_many_alarms_leave_room_for_the_tables() -> None:
    lines = drawn(reading(50, 500, tuple(f"alarm {number}" for number in range(300))), 100, 30)
    assert len(lines) <= 30
    assert "300 alarms" in lines[0]
    assert lines[8] == "  and 293 more"
    assert sum(line.startswith("default/") for line in lines) >= 2


def test_all_workers_are_counted_and_not_only_those_of_the_list() -> None:
    counts = WorkerCounts(5000, 4100, 3, 4998, 0, 900, 12, 1)
    one = dataclasses.replace(reading(3, 0), more_workers=4997, worker_counts=counts)
    assert "5,000 workers on 12 nodes, 4,100 busy, 3 late" in drawn(one, 100, 30)


def test_times_of_tasks_are_compared_with_the_clock_of_the_database() -> None:
    one = dataclasses.replace(reading(0, 1), at=AT - 3600.0, clock_ahead_seconds=3600.0 + 42.0)
    (line,) = (line for line in drawn(one, 120, 30) if line.startswith("q0 "))
    assert "42 s" in line


def test_text_of_a_task_cannot_control_the_terminal() -> None:
    text = "\n".join(drawn(reading(2, 2), 160, 40))
    assert "\x1b" not in text
    assert "\\x1b[2J[red]\\n" in text


@pytest.fixture
def terminal() -> Iterator[tuple[int, KeyReader]]:
    """Yield the far end of a terminal, and the reader of its keys."""
    far, near = os.openpty()
    tty.setcbreak(near)
    with os.fdopen(far, "wb", 0), os.fdopen(near, "rb", 0):
        yield far, KeyReader(near)


@pytest.mark.parametrize(
    ("pressed", "keys"),
    [(b"\x1b[Aq", b"q"), (b"\x1b[15~\x1bOA\x1b[1;5Cxq", b"xq"), (b"\x1bOq", b""), (b"\x1b", b""), (b"Q", b"Q")],
)
def test_q_counts_after_an_arrow_key_too(terminal: tuple[int, KeyReader], pressed: bytes, keys: bytes) -> None:
    far, read_keys = terminal
    os.write(far, pressed)
    assert read_keys(5) == keys
    assert read_keys(0) == b""


def test_a_terminal_that_has_gone_ends_the_page() -> None:
    reading_end, writing_end = os.pipe()
    os.close(writing_end)
    with os.fdopen(reading_end, "rb", 0):
        assert KeyReader(reading_end)(5) == b"q"
