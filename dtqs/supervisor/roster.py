"""Which slot holds which child, what each slot still owes its dead, and what is to happen next. No system call, so its test never forks."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState, Death, SlotRecord
from dtqs.supervisor.child import Child, Stage
from dtqs.supervisor.reaping import End
from dtqs.supervisor.restart import Restart
from dtqs.supervisor.spawn import ChildSpec
from dtqs.uuid7 import is_uuid

MOST_DEATHS = 64
"""Deaths that one slot remembers; what is dropped beyond that, a keeper reclaims after the lease time."""
_MOST_SETTLERS = 2
"""Replacements that one slot gets during a drain, only to take back what its dead have left."""


@dataclass(slots=True)
class SlotState:
    """A slot and what the supervisor knows of it."""

    index: int
    spec: ChildSpec
    child: Child | None = None
    deaths: tuple[Death, ...] = ()
    restart: Restart = field(default_factory=Restart)
    settlers: int = 0


class Roster:
    """All seats, in the order of the specs."""

    def __init__(self, specs: Sequence[ChildSpec], section: SupervisorSection) -> None:
        self.seats = tuple(SlotState(index, spec) for index, spec in enumerate(specs))
        self._section = section

    def taken(self) -> Iterator[tuple[SlotState, Child]]:
        """Yield the seats that have a child, and it."""
        for seat in self.seats:
            if seat.child:
                yield seat, seat.child

    def pids(self) -> frozenset[int]:
        return frozenset(child.pid for _, child in self.taken())

    def seat_of(self, pid: int) -> SlotState | None:
        return next((seat for seat, child in self.taken() if child.pid == pid), None)

    def vacant(self, now: float) -> list[SlotState]:
        """Return the seats that are to be filled now."""
        return [seat for seat in self.seats if not seat.child and seat.restart.not_before <= now]

    def owing(self) -> list[SlotState]:
        """Return the seats that, in a drain, need one more child to take back what their dead have left."""
        return [seat for seat in self.seats if not seat.child and seat.deaths and seat.settlers < _MOST_SETTLERS]

    def filled(self, seat: SlotState, pid: int, now: float, settler: bool) -> Child:
        """Note that a child was forked."""
        seat.child = Child(pid, now, seat.deaths, self._section, seat.restart.wait_seconds)
        seat.settlers += settler
        return seat.child

    def not_filled(self, seat: SlotState, now: float, settler: bool) -> None:
        """Note that the fork failed."""
        seat.restart = seat.restart.after_failed_fork(now, self._section)
        seat.settlers += settler

    def vacated(
        self, seat: SlotState, child: Child, end: End, record: SlotRecord, now: float, out_of_memory: bool
    ) -> Death | None:
        """Note that a child has ended, and return the death that its successor is to settle, if it left any."""
        death = _death(child, end, record, out_of_memory)
        owed = () if record.deaths_settled else child.deaths
        seat.deaths = (*owed, death)[-MOST_DEATHS:] if death else owed
        asked = child.stage in (Stage.DRAINING, Stage.STOPPING) and end.status == 0
        ready = child.seen_ready or record.state in (ChildState.READY, ChildState.DRAINING)
        if asked:
            seat.restart = seat.restart.after_request(now)
        elif death is not None and death.task_id is not None:
            # it is the task's, which waits for its own backoff and counts its deaths: a slot left empty would keep what the dead held
            soon = not record.worked and now - child.takes_from <= self._section.young_seconds
            seat.restart = seat.restart.after_task_death(now, self._section, soon)
        else:
            seat.restart = seat.restart.after_death(now - child.started_at, now, self._section, ready)
        seat.child = None
        return death

    def is_given_up(self, seat: SlotState) -> bool:
        """Tell whether its children end again and again before they are ready."""
        return seat.restart.given_up(self._section)

    def words(self) -> str:
        """Say how many children are ready, and which slots are given up or slowed down."""
        ready = sum(child.seen_ready for _, child in self.taken())
        names = [seat.spec.name for seat in self.seats if self.is_given_up(seat)]
        words = f"{ready} of {len(self.seats)} children ready" + (f"; given up: {', '.join(names)}" if names else "")
        slow = [
            f"{seat.spec.name} ({seat.restart.fruitless} deaths)" for seat in self.seats if seat.restart.wait_seconds
        ]
        return words + (
            f"; slowed down, since tasks kill its workers before they finish any: {', '.join(slow)}" if slow else ""
        )

    def try_again(self) -> None:
        """Forget, at an operator's word, why slots were to wait."""
        for seat in self.seats:
            seat.restart = Restart()

    def all_ready(self) -> bool:
        return all(seat.child and seat.child.seen_ready for seat in self.seats)

    def workers_gone(self) -> bool:
        """Tell whether, in a drain, no worker is left nor wanted: the keeper may end."""
        return not any(seat.spec.is_worker for seat, _ in self.taken()) and not any(
            seat.spec.is_worker for seat in self.owing()
        )

    def to_roll(self, since: float) -> SlotState | None:
        """Return the next seat to renew in a rolling restart asked for at that time.

        One at a time, and only while every other is ready: a child that cannot come up again costs one seat, not all.
        """
        if not self.all_ready() or any(child.stage is not Stage.LEFT_ALONE for _, child in self.taken()):
            return None
        return next((seat for seat, child in self.taken() if child.started_at < since), None)

    def rolled(self, since: float) -> bool:
        """Tell whether every child was started after that time and is ready."""
        return self.all_ready() and all(child.started_at >= since for _, child in self.taken())

    def steps(self) -> list[float]:
        """Return the known times at which a child is to be pressed further, or a seat filled again."""
        return [seat.child.next_step_at if seat.child else seat.restart.not_before for seat in self.seats]


def heard(record: SlotRecord | None, child: Child) -> SlotRecord:
    """Return what this child has said. Until it has begun its record, and when it is damaged, that is nothing: neither ready nor at work."""
    if record and record.pid == child.pid:
        return record
    return SlotRecord(
        child.pid, child.started_at, 0.0, ChildState.STARTING, deaths_settled=False, worker_id=None, task_id=None
    )


def _death(child: Child, end: End, record: SlotRecord, out_of_memory: bool) -> Death | None:
    """Say what a successor must take back. A child that ended well, or had no row in `workers` yet, has left nothing."""
    # a task whose code calls exit(0) has not ended well
    if (end.status == 0 and record.task_id is None) or record.worker_id is None or not is_uuid(record.worker_id):
        return None
    if child.stage is Stage.KILLED and child.kill_cause is None and end.signal_number == 9:
        # ended by us for our own sake: no attempt is spent
        return Death(record.worker_id, "did not end in time when the node was stopped", None, idle=True)
    if record.task_id is None or is_uuid(record.task_id):
        return Death(record.worker_id, cause_of(child, end, out_of_memory), record.task_id, idle=record.task_id is None)
    # what it wrote is no id: nobody knows what ran
    return Death(record.worker_id, cause_of(child, end, out_of_memory), None, idle=False)


def telling_status(end: End) -> int:
    """Return the exit status of a node that ends because its children cannot begin: theirs where it says what is wrong."""
    return end.status if end.status in (os.EX_TEMPFAIL, os.EX_CONFIG) else os.EX_UNAVAILABLE


def cause_of(child: Child, end: End, out_of_memory: bool) -> str:
    """Return the cause of an end in words for people."""
    if end.signal_number == 9 and child.kill_cause:
        return child.kill_cause
    if end.signal_number == 9 and child.stage is not Stage.KILLED and out_of_memory:
        return "out of memory"
    return end.cause
