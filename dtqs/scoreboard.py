"""One fixed record per slot in shared memory, made before the fork: written by the child, read by its parent.

The child says what it is doing, so that its death can be judged: which worker row was its own, which task ran, and until when it may run.
Each field has one writer and is written in one piece. Worker and task stand in marks, which may lie in a file: beats wait for no disk.
"""

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

_SIZE = 64
MARK_BYTES = 128
_ID_LENGTH = 36
_NO_ID = bytes(_ID_LENGTH)
_DOUBLE, _INT = struct.Struct("<d"), struct.Struct("<i")
_BEAT, _KILL_AT, _PID, _STATE, _SETTLED, _WORKED = 0, 8, 16, 20, 21, 22
_WORKER, _TASK = 0, 64
"""Within a mark."""


class ChildState(IntEnum):
    """What a child says of itself; that it is gone says the reaping."""

    STARTING = 0
    READY = 1
    DRAINING = 2
    WAITING = 3
    """Not ready yet, since it waits for PostgreSQL: that may take as long as it takes."""


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """What a child last said. Times are on the monotonic clock, `kill_at` is 0 for never."""

    pid: int
    beat: float
    kill_at: float
    state: ChildState
    deaths_settled: bool
    worker_id: str | None
    task_id: str | None
    worked: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Which worker sat in a slot, and which task it ran."""

    worker_id: str | None
    task_id: str | None


class Slot:
    """The child's side of one record."""

    __slots__ = ("_at", "_marks", "_memory", "_task_at", "_worker_at")

    def __init__(self, memory: mmap.mmap, index: int, marks: mmap.mmap, mark_at: int) -> None:
        self._memory, self._at = memory, index * _SIZE
        self._marks, self._worker_at, self._task_at = marks, mark_at + _WORKER, mark_at + _TASK

    def begin(self) -> None:
        """Start the record anew: a fresh child, not ready yet."""
        self._memory[self._at : self._at + _SIZE] = bytes(_SIZE)
        self.rest()
        self._marks[self._worker_at : self._worker_at + _ID_LENGTH] = _NO_ID
        _INT.pack_into(self._memory, self._at + _PID, os.getpid())
        self.beat()

    def beat(self) -> None:
        _DOUBLE.pack_into(self._memory, self._at + _BEAT, time.monotonic())

    def state(self, state: ChildState) -> None:
        self._memory[self._at + _STATE] = state

    def worker(self, worker_id: str) -> None:
        self._marks[self._worker_at : self._worker_at + _ID_LENGTH] = worker_id.encode()

    def settled_deaths(self) -> None:
        """The predecessors' leases, of which this child was told at its fork, are taken back."""
        self._memory[self._at + _SETTLED] = 1

    def worked(self) -> None:
        """The outcome of a task was written."""
        self._memory[self._at + _WORKED] = 1

    def run(self, task_id: str) -> None:
        """An attempt of this task starts."""
        self._marks[self._task_at : self._task_at + _ID_LENGTH] = task_id.encode()

    def rest(self) -> None:
        """No attempt runs."""
        self._marks[self._task_at : self._task_at + _ID_LENGTH] = _NO_ID

    def kill_at(self, at: float) -> None:
        """The parent is to kill this process group at this time (monotonic seconds); 0: never."""
        _DOUBLE.pack_into(self._memory, self._at + _KILL_AT, at)


class Scoreboard:
    """The parent's side: anonymous shared memory for so many slots. `marks` is the mapped file of their marks, which begin at `marks_at`."""

    def __init__(self, slots: int, marks: mmap.mmap | None = None, marks_at: int = 0) -> None:
        self._memory = mmap.mmap(-1, slots * _SIZE)
        self._marks, self._marks_at = marks or mmap.mmap(-1, marks_at + slots * MARK_BYTES), marks_at

    def slot(self, index: int) -> Slot:
        return Slot(self._memory, index, self._marks, self._mark_at(index))

    def vacate(self, index: int) -> None:
        """The child of this slot was reaped: its record is nobody's, and its pid may become another's."""
        _INT.pack_into(self._memory, index * _SIZE + _PID, 0)

    def records(self, indices: Sequence[int]) -> list[SlotRecord]:
        """Return what the children of these slots said last; a damaged record is left out."""
        found = []
        for index in indices:
            with contextlib.suppress(ValueError):
                found.append(self.read(index))
        return found

    def read(self, index: int) -> SlotRecord:
        record = self._memory[index * _SIZE : (index + 1) * _SIZE]
        mark = read_mark(self._marks, self._mark_at(index))
        return SlotRecord(
            pid=_INT.unpack_from(record, _PID)[0],
            beat=_DOUBLE.unpack_from(record, _BEAT)[0],
            kill_at=_DOUBLE.unpack_from(record, _KILL_AT)[0],
            state=ChildState(record[_STATE]),
            deaths_settled=bool(record[_SETTLED]),
            worker_id=mark.worker_id,
            task_id=mark.task_id,
            worked=bool(record[_WORKED]),
        )

    def _mark_at(self, index: int) -> int:
        return self._marks_at + index * MARK_BYTES


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended, as its parent saw it; what the replacement needs to take back its leases.

    `cause` is words for people (`signal 9 (SIGKILL)`, `exit status 3`, `time limit`); `task_id` the task that ran;
    with `idle` it is known that nothing ran, with neither nobody knows. A task that is `blamed` has most likely caused it.
    """

    worker_id: str
    cause: str
    task_id: str | None
    idle: bool
    blamed: bool = True


def read_mark(marks: bytes | mmap.mmap, at: int) -> Mark:
    """Read the mark that begins there."""
    return Mark(_id(marks, at + _WORKER), _id(marks, at + _TASK))


def _id(record: bytes | mmap.mmap, at: int) -> str | None:
    text = record[at : at + _ID_LENGTH]
    return None if text == _NO_ID else text.decode("ascii", "replace")
