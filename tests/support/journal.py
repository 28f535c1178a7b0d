"""A task type that keeps a durable journal of its attempts in a file, and the judge of that file.

Each line has the task, the run (a worker's process and a time), an event and the time of the system's monotonic clock.
"""

import itertools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dtqs import Context, Payload, processor

_STEP_SECONDS = 0.02


class JournalPayload(Payload):
    file: str
    steps: int = 0
    effect_at: int = 0
    """The step before which the effect happens; -1: no effect."""


@processor("journal", payload=JournalPayload, max_retries=3)
def journal(payload: JournalPayload, context: Context) -> None:
    """Write `begin`, a `step` each 20 ms, `effect` after the mark, and `end`."""
    with _lines(payload.file, context.task_id) as line:
        line.durable("begin")
        for step in range(payload.steps + 1):
            if step == payload.effect_at:
                context.effect_begins("fail")
                line.durable("effect")
            if step < payload.steps:
                time.sleep(_STEP_SECONDS)
                line.write("step")


@dataclass(frozen=True, slots=True)
class _Line:
    descriptor: int
    head: str

    def write(self, event: str) -> None:
        # One write with O_APPEND: lines of several processes do not mix.
        os.write(self.descriptor, f"{self.head} {event} {time.monotonic():.4f}\n".encode())

    def durable(self, event: str) -> None:
        self.write(event)
        os.fsync(self.descriptor)


@contextmanager
def _lines(file: str, task_id: str) -> Iterator[_Line]:
    """Open the file, and write `end` also after an interrupt."""
    line = _Line(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), f"{task_id} {os.getpid()}:{_run_id()}")
    try:
        yield line
    finally:
        line.durable("end")
        os.close(line.descriptor)


def _run_id() -> int:
    return time.monotonic_ns()


@dataclass(slots=True)
class Run:
    """One attempt, from its first sign of life to its last."""

    pid: int
    began: float
    last: float
    events: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Halt:
    """A time during which these processes did not run."""

    pids: Collection[int]
    began: float
    ended: float


def read_runs(file: Path) -> dict[str, list[Run]]:
    """Return the attempts of each task."""
    found: dict[str, dict[str, Run]] = defaultdict(dict)
    for text in file.read_text(encoding="utf-8").splitlines():
        task_id, run_id, event, at = text.split()
        run = found[task_id].setdefault(run_id, Run(int(run_id.partition(":")[0]), float(at), float(at)))
        run.last = float(at)
        run.events[event] += 1
    return {task_id: list(runs.values()) for task_id, runs in found.items()}


def overlap(runs: Collection[Run], halts: Collection[Halt] = ()) -> float:
    """Return for how many seconds two attempts of one task ran at the same time, at most."""
    return max((_both(one, other, halts) for one, other in itertools.combinations(runs, 2)), default=0.0)


def _both(one: Run, other: Run, halts: Collection[Halt]) -> float:
    began, ended = max(one.began, other.began), min(one.last, other.last)
    halted = sum(
        max(0.0, min(ended, halt.ended) - max(began, halt.began))
        for halt in halts
        if one.pid in halt.pids or other.pid in halt.pids
    )
    return max(0.0, ended - began - halted)
