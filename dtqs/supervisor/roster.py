"""The slots, their children, the deaths that each slot must settle, and the next steps. It makes no system call."""

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
"""Deaths that one slot remembers. A keeper reclaims the leases of older ones after the lease time."""
_MOST_SETTLERS = 2
"""Replacements that one slot gets during a drain, only to take back the leases of its dead children."""


@dataclass(slots=True)
class SlotState:
    """The state of one slot."""

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
        """Yield the seats that have a child, with the child."""
        for seat in self.seats:
            if seat.child:
                yield seat, seat.child

    def pids(self) -> frozenset[int]:
        return frozenset(child.pid for _, child in self.taken())

    def seat_of(self, pid: int) -> SlotState | None:
        return next((seat for seat, child in self.taken() if child.pid == pid), None)

    def vacant(self, now: float) -> list[SlotState]:
        """Return the empty seats whose next fork is due."""
        return [seat for seat in self.seats if not seat.child and seat.restart.not_before <= now]

    def owing(self) -> list[SlotState]:
        """Return the seats that need one more child during a drain, to take back the leases of their dead children."""
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
        """Note that a child has ended. Return the death that its successor must settle, if there is one."""
        death = _death(child, end, record, out_of_memory)
        owed = () if record.deaths_settled else child.deaths
        seat.deaths = (*owed, death)[-MOST_DEATHS:] if death else owed
        asked = child.stage in (Stage.DRAINING, Stage.STOPPING) and end.status == 0
        ready = child.seen_ready or record.state in (ChildState.READY, ChildState.DRAINING)
        if asked:
            seat.restart = seat.restart.after_request(now)
        elif death is not None and death.task_id is not None:
            # the task counts its deaths and has its own backoff; an empty slot would only delay taking back the leases
            soon = not record.worked and now - child.takes_from <= self._section.young_seconds
            seat.restart = seat.restart.after_task_death(now, self._section, soon)
        else:
            seat.restart = seat.restart.after_death(now - child.started_at, now, self._section, ready)
        seat.child = None
        return death

    def is_given_up(self, seat: SlotState) -> bool:
        """Tell whether too many of its children have ended before they were ready."""
        return seat.restart.given_up(self._section)

    def summary(self) -> str:
        """Return how many children are ready, and which slots are given up or slowed down, as text for people."""
        ready = sum(child.seen_ready for _, child in self.taken())
        names = [seat.spec.name for seat in self.seats if self.is_given_up(seat)]
        text = f"{ready} of {len(self.seats)} children ready" + (f"; given up: {', '.join(names)}" if names else "")
        slow = [
            f"{seat.spec.name} ({seat.restart.fruitless} deaths)" for seat in self.seats if seat.restart.wait_seconds
        ]
        return text + (
            f"; slowed down, since tasks kill its workers before they finish any: {', '.join(slow)}" if slow else ""
        )

    def try_again(self) -> None:
        """Cancel the waits of all slots, as an operator asked."""
        for seat in self.seats:
            seat.restart = Restart()

    def all_ready(self) -> bool:
        return all(seat.child and seat.child.seen_ready for seat in self.seats)

    def workers_gone(self) -> bool:
        """Tell whether, in a drain, no worker is left and none is needed: then the keeper may end."""
        return not any(seat.spec.is_worker for seat, _ in self.taken()) and not any(
            seat.spec.is_worker for seat in self.owing()
        )

    def to_roll(self, since: float) -> SlotState | None:
        """Return the next seat to renew in a rolling restart that was requested at `since`.

        One seat at a time, and only while all others are ready: a child that cannot start again costs one seat.
        """
        if not self.all_ready() or any(child.stage is not Stage.LEFT_ALONE for _, child in self.taken()):
            return None
        return next((seat for seat, child in self.taken() if child.started_at < since), None)

    def rolled(self, since: float) -> bool:
        """Tell whether every child was started after `since` and is ready."""
        return self.all_ready() and all(child.started_at >= since for _, child in self.taken())

    def steps(self) -> list[float]:
        """Return the times of the next escalations and forks."""
        return [seat.child.next_step_at if seat.child else seat.restart.not_before for seat in self.seats]


def record_of(record: SlotRecord | None, child: Child) -> SlotRecord:
    """Return the record if this child wrote it, else an empty one: the child is starting, without worker and task.

    The record may be damaged (None), or still be the one of the previous child.
    """
    if record and record.pid == child.pid:
        return record
    return SlotRecord(
        child.pid, child.started_at, 0.0, ChildState.STARTING, deaths_settled=False, worker_id=None, task_id=None
    )


def _death(child: Child, end: End, record: SlotRecord, out_of_memory: bool) -> Death | None:
    """Return the death that a successor must settle. A child that ended well, or had no worker row, has left none."""
    # a child whose task calls exit(0) has not ended well
    if (end.status == 0 and record.task_id is None) or record.worker_id is None or not is_uuid(record.worker_id):
        return None
    if child.stage is Stage.KILLED and child.kill_cause is None and end.signal_number == 9:
        # the supervisor killed it only because it was late: no attempt is spent
        return Death(record.worker_id, "did not end in time when the node was stopped", None, idle=True)
    if record.task_id is None or is_uuid(record.task_id):
        return Death(record.worker_id, cause_of(child, end, out_of_memory), record.task_id, idle=record.task_id is None)
    # the task id is damaged: it is unknown which task ran
    return Death(record.worker_id, cause_of(child, end, out_of_memory), None, idle=False)


def telling_status(end: End) -> int:
    """Return the exit status of a node whose children cannot start: theirs if it names a cause, else EX_UNAVAILABLE."""
    return end.status if end.status in (os.EX_TEMPFAIL, os.EX_CONFIG) else os.EX_UNAVAILABLE


def cause_of(child: Child, end: End, out_of_memory: bool) -> str:
    """Return the cause of an end as text for people."""
    if end.signal_number == 9 and child.kill_cause:
        return child.kill_cause
    if end.signal_number == 9 and child.stage is not Stage.KILLED and out_of_memory:
        return "out of memory"
    return end.cause
