"""One fixed record per slot in shared memory, made before the fork: the child writes it, its parent reads it.

With it the parent judges a death. Each field has one writer and is written at once. The ids of worker and task are
marks in other memory, which may be a file: so beats wait for no disk.
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
_CLAIMS = b"claims several tasks".ljust(_ID_LENGTH)
_DOUBLE, _INT = struct.Struct("<d"), struct.Struct("<i")
_BEAT, _KILL_AT, _PID, _STATE, _SETTLED, _WORKED, _LEAVES = 0, 8, 16, 20, 21, 22, 23
_TASKS, _BUSY, _HEARTBEAT = 24, 32, 48
_HELD, _VOUCHED = 40, 56
_WORKER, _TASK = 0, 64
"""Offsets within a mark."""
TIME_LIMIT = "time limit"
"""The cause of a death whose attempt went on after its time limit, or after another interrupt."""

BROKER_FAULT = os.EX_PROTOCOL
"""The exit status of a process whose part for RabbitMQ has failed. It blames no task."""


class ChildState(IntEnum):
    """The state that a child reports of itself. The reaping reports its end."""

    STARTING = 0
    READY = 1
    DRAINING = 2
    WAITING = 3
    """Not ready, because it waits for PostgreSQL. This state has no time limit."""


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """The last record of a child. Times are on the monotonic clock; a `kill_at` of 0 means never.

    Until `held_until` nobody takes the worker's leases. 0: it has no row yet.
    """

    pid: int
    beat: float
    kill_at: float
    state: ChildState
    deaths_settled: bool
    worker_id: str | None
    task_id: str | None
    worked: bool = False
    leaves: bool = False
    """It ends by itself to be replaced: it has served long enough, or has grown too large."""
    heartbeat: float = 0.0
    """When PostgreSQL last confirmed a heartbeat of this child. 0: not yet."""
    tasks: float = 0.0
    busy_seconds: float = 0.0
    """The attempts of this child so far, and their time together."""
    held_until: float = 0.0
    claims: bool = False
    """It claims several tasks, and has started none of them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The worker of a slot, and its running task."""

    worker_id: str | None
    task_id: str | None
    claims: bool = False


class Slot:
    """One record, as the child writes it."""

    __slots__ = ("_at", "_marks", "_memory", "_task_at", "_worker_at")

    def __init__(self, memory: mmap.mmap, index: int, marks: mmap.mmap, mark_at: int) -> None:
        self._memory, self._at = memory, index * _SIZE
        self._marks, self._worker_at, self._task_at = marks, mark_at + _WORKER, mark_at + _TASK

    def begin(self) -> None:
        """Clear the record for a new child, which is not ready yet."""
        self._memory[self._at : self._at + _SIZE] = bytes(_SIZE)
        self.rest()
        self._marks[self._worker_at : self._worker_at + _ID_LENGTH] = _NO_ID
        _INT.pack_into(self._memory, self._at + _PID, os.getpid())
        self.beat()

    def beat(self) -> None:
        _DOUBLE.pack_into(self._memory, self._at + _BEAT, time.monotonic())

    def heartbeat(self) -> None:
        """Note that PostgreSQL has confirmed a heartbeat."""
        _DOUBLE.pack_into(self._memory, self._at + _HEARTBEAT, time.monotonic())

    def state(self, state: ChildState) -> None:
        self._memory[self._at + _STATE] = state

    def worker(self, worker_id: str) -> None:
        self._marks[self._worker_at : self._worker_at + _ID_LENGTH] = worker_id.encode()

    def settled_deaths(self) -> None:
        """Note that this child has taken back the leases of the predecessors that its fork named."""
        self._memory[self._at + _SETTLED] = 1

    def worked(self) -> None:
        """Note that the outcome of a task is written."""
        self._memory[self._at + _WORKED] = 1

    def served(self, tasks: float, busy_seconds: float) -> None:
        """Note how many attempts have ended here, and their time together."""
        _DOUBLE.pack_into(self._memory, self._at + _TASKS, tasks)
        _DOUBLE.pack_into(self._memory, self._at + _BUSY, busy_seconds)

    def leaves(self) -> None:
        """Note that this child ends to be replaced: its end is no fault, however young it is."""
        self._memory[self._at + _LEAVES] = 1

    def claim(self, task_ids: Sequence[str]) -> None:
        """Note that a claim of these tasks starts: a large payload may end this process before its attempt."""
        mark = task_ids[0].encode() if len(task_ids) == 1 else _CLAIMS
        self._marks[self._task_at : self._task_at + _ID_LENGTH] = mark

    def run(self, task_id: str) -> None:
        """Note that an attempt of this task starts."""
        self._marks[self._task_at : self._task_at + _ID_LENGTH] = task_id.encode()

    def rest(self) -> None:
        """Note that no attempt runs, and no claim."""
        self._marks[self._task_at : self._task_at + _ID_LENGTH] = _NO_ID

    def kill_at(self, at: float) -> None:
        """Ask the parent to kill this process group at a time (monotonic seconds). 0 means never."""
        _DOUBLE.pack_into(self._memory, self._at + _KILL_AT, at)

    def kill_time(self) -> float:
        """Return the time of the last `kill_at`."""
        return float(_DOUBLE.unpack_from(self._memory, self._at + _KILL_AT)[0])

    def hold_until(self, at: float) -> None:
        """Note until when nobody takes this worker's leases, since a heartbeat of its own was confirmed."""
        _DOUBLE.pack_into(self._memory, self._at + _HELD, at)

    def held_until(self) -> float:
        """Return until when nobody takes this worker's leases: by its heartbeats, or by those of its node's keeper."""
        return _held_until(self._memory[self._at : self._at + _SIZE])


class Scoreboard:
    """All records, as the parent reads them, in shared memory. A slot that no child has costs nothing.

    `memory` has `board_bytes` bytes. `marks` is the mapped file with the marks, which begin at `marks_at`.
    """

    def __init__(
        self, slots: int, marks: mmap.mmap | None = None, marks_at: int = 0, memory: mmap.mmap | None = None
    ) -> None:
        self._slots, self._memory = slots, memory or mmap.mmap(-1, board_bytes(slots))
        self._marks, self._marks_at = marks or mmap.mmap(-1, marks_at + slots * MARK_BYTES), marks_at

    def slot(self, index: int) -> Slot:
        return Slot(self._memory, index, self._marks, self._mark_at(index))

    def vacate(self, index: int) -> None:
        """Detach the record from its reaped child, whose pid another process may get."""
        _INT.pack_into(self._memory, index * _SIZE + _PID, 0)

    def vouch(self, worker_id: str, until: float) -> None:
        """Note until when nobody takes a worker's leases, since a keeper has written its heartbeat."""
        for index in range(self._slots):
            pid = _INT.unpack_from(self._memory, index * _SIZE + _PID)[0]
            if pid and read_mark(self._marks, self._mark_at(index)).worker_id == worker_id:
                _DOUBLE.pack_into(self._memory, index * _SIZE + _VOUCHED, until)

    def records(self) -> list[SlotRecord]:
        """Return the records of all children that are not reaped, without damaged ones."""
        found = []
        for index in range(self._slots):
            if _INT.unpack_from(self._memory, index * _SIZE + _PID)[0]:
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
            leaves=bool(record[_LEAVES]),
            heartbeat=_DOUBLE.unpack_from(record, _HEARTBEAT)[0],
            tasks=_DOUBLE.unpack_from(record, _TASKS)[0],
            busy_seconds=_DOUBLE.unpack_from(record, _BUSY)[0],
            held_until=_held_until(record),
            claims=mark.claims,
        )

    def _mark_at(self, index: int) -> int:
        return self._marks_at + index * MARK_BYTES


def board_bytes(slots: int) -> int:
    """Return the size of the memory of a scoreboard, without the marks."""
    return slots * _SIZE


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a child. Its replacement takes back its leases with it.

    `cause` is text for people (`signal 9 (SIGKILL)`, `exit status 3`, `time limit`). `task_id` is the running task.
    `idle` means that no task ran. Without both it is unknown which task ran. If `blamed`, the task probably caused the
    death.
    """

    worker_id: str
    cause: str
    task_id: str | None
    idle: bool
    blamed: bool = True


def read_mark(marks: bytes | mmap.mmap, at: int) -> Mark:
    """Read the mark at an offset."""
    worker_id = _id(marks, at + _WORKER)
    if marks[at + _TASK : at + _TASK + _ID_LENGTH] == _CLAIMS:
        return Mark(worker_id, None, claims=True)
    return Mark(worker_id, _id(marks, at + _TASK))


def _held_until(record: bytes) -> float:
    return float(max(_DOUBLE.unpack_from(record, _HELD)[0], _DOUBLE.unpack_from(record, _VOUCHED)[0]))


def _id(record: bytes | mmap.mmap, at: int) -> str | None:
    text = record[at : at + _ID_LENGTH]
    return None if text == _NO_ID else text.decode("ascii", "replace")
