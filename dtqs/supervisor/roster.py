"""The seats, their children, the deaths that each must settle, and the next steps. It makes no system call.

A seat is a place that the node keeps filled. Its child may leave: then the child goes to `leaving` with its slot of the
scoreboard, and the seat gets another slot and a new child.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from dtqs.config import SupervisorSection
from dtqs.given_up import GivenUp
from dtqs.scoreboard import ChildState, Death, SlotRecord
from dtqs.supervisor.causes import death_of
from dtqs.supervisor.child import Child, Stage
from dtqs.supervisor.reaping import End
from dtqs.supervisor.restart import Restart
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildSpec

MOST_DEATHS = 64
"""Deaths that one slot remembers. A keeper reclaims the leases of older ones after the lease time."""
MOST_SETTLERS = 2
"""Replacements that one slot gets during a drain, only to take back the leases of its dead children."""


class Roster:
    """All seats, in the order of the specs, and the leaving children. `hire` makes the spec of a worker of a pool."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        section: SupervisorSection,
        slots: int,
        hire: Callable[[str, int], ChildSpec] | None = None,
    ) -> None:
        self.seats = [SlotState(index, spec) for index, spec in enumerate(specs)]
        self.leaving: list[SlotState] = []
        self.slots, self._section, self._hire = slots, section, hire
        self.paused = False
        """Workers finish and are not replaced, since an operator has asked for it."""

    def everywhere(self) -> Iterator[SlotState]:
        """Yield all seats, then all that leave."""
        yield from self.seats
        yield from self.leaving

    def taken(self) -> Iterator[tuple[SlotState, Child]]:
        """Yield the seats that have a child, with the child, and the leaving children."""
        for seat in [*self.everywhere()]:
            if seat.child:
                yield seat, seat.child

    def pids(self) -> frozenset[int]:
        return frozenset(child.pid for _, child in self.taken())

    def seat_of(self, pid: int) -> SlotState | None:
        return next((seat for seat, child in self.taken() if child.pid == pid), None)

    def vacant(self, now: float) -> list[SlotState]:
        """Return the empty seats whose next fork is due."""
        return [seat for seat in self._needed() if not seat.child and seat.restart.not_before <= now]

    def _needed(self) -> list[SlotState]:
        """Return the seats that should have a child."""
        return [seat for seat in self.seats if not (self.paused and seat.spec.is_worker)]

    def owing(self, running: bool = False) -> list[SlotState]:
        """Return the seats that need one more child only to take back the leases of their dead children.

        In a drain, or a pause, these are all seats with such deaths. While the node is `running`, they are the leaving
        ones.
        """
        only_leaving = running and not self.paused
        return [seat for seat in (self.leaving if only_leaving else self.everywhere()) if _owes(seat)]

    def filled(self, seat: SlotState, pid: int, now: float, settler: bool) -> Child:
        """Note that a child was forked."""
        seat.child = Child(pid, now, seat.deaths, self._section, seat.restart.wait_seconds)
        # a later pause or drain may fork as many again
        seat.settlers = seat.settlers + 1 if settler else 0
        return seat.child

    def not_filled(self, seat: SlotState, now: float, settler: bool) -> None:
        """Note that the fork failed."""
        seat.restart = seat.restart.after_failed_fork(now, self._section)
        seat.settlers += settler
        self.free(seat)

    def vacated(
        self, seat: SlotState, child: Child, end: End, record: SlotRecord, now: float, out_of_memory: bool
    ) -> Death | None:
        """Note that a child has ended. Return the death that its successor must settle, if there is one."""
        death = death_of(child, end, record, now, out_of_memory)
        owed = () if record.deaths_settled else child.deaths
        seat.deaths = (*owed, death)[-MOST_DEATHS:] if death else owed
        asked = (child.stage in (Stage.DRAINING, Stage.STOPPING) or record.leaves) and end.status == 0
        ready = child.seen_ready or record.state in (ChildState.READY, ChildState.DRAINING)
        seat.by_task = death is not None and death.task_id is not None and death.blamed
        if ready:
            seat.proved_at = child.started_at
        if asked:
            seat.restart = seat.restart.after_request(now)
        elif seat.by_task:
            # the task counts its deaths and has its own backoff; an empty slot would only delay taking back the leases
            soon = not record.worked and now - child.takes_from <= self._section.young_seconds
            seat.restart = seat.restart.after_task_death(now, self._section, soon)
        else:
            seat.restart = seat.restart.after_death(now - child.started_at, now, self._section, ready)
        seat.child = None
        self.free(seat)
        return death

    def free(self, seat: SlotState) -> None:
        """Free the slot of a leaving child that has ended and owes nothing. A keeper takes back what is left."""
        if seat.leaves and not seat.child and not _owes(seat):
            self.leaving.remove(seat)

    def is_given_up(self, seat: SlotState) -> bool:
        """Tell whether too many of its children have ended before they were ready."""
        return seat.restart.given_up(self._section)

    def given_up(self) -> GivenUp:
        """Return the seats that are given up, and why."""
        return GivenUp.of([(seat.spec.name, seat.reason) for seat in self.seats if self.is_given_up(seat)])

    def ready(self) -> int:
        """Return how many seats have a ready child. A leaving one counts while its seat waits for another."""
        ready = sum(seat.child is not None and seat.child.seen_ready for seat in self.seats)
        waited_for = sum(seat.child is not None and seat.child.stage is Stage.LEFT_ALONE for seat in self.leaving)
        return min(ready + waited_for, len(self.seats))

    def summary(self) -> str:
        """Return how many children are ready, and which slots are given up or slowed down, as text for people."""
        left = sum(seat.child is not None and seat.child.stage is not Stage.LEFT_ALONE for seat in self.leaving)
        names = [seat.spec.name for seat in self.seats if self.is_given_up(seat)]
        text = "paused by an operator; " if self.paused else ""
        text += f"{self.ready()} of {len(self.seats)} children ready"
        leave = "finishes its task and leaves" if left == 1 else "finish their task and leave"
        text += f"; {left} more {leave}" if left else ""
        text += f"; given up: {', '.join(names)}" if names else ""
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
        return all(seat.child and seat.child.seen_ready for seat in self._needed())

    def workers_gone(self) -> bool:
        """Tell whether, in a drain, no worker is left and none is needed: then the keeper may end."""
        return not any(seat.spec.is_worker for seat, _ in self.taken()) and not any(
            seat.spec.is_worker for seat in self.owing()
        )

    def to_roll(self, since: float) -> SlotState | None:
        """Return the next seat to renew in a rolling restart that was requested at `since`.

        One seat at a time, and only while all work: a new child that cannot start leaves all old ones at work.
        """
        if self._waits_for_successor() or not all(seat.is_well(since) for seat in self._needed()):
            return None
        return next((seat for seat in self.seats if seat.child and seat.child.started_at < since), None)

    def rolled(self, since: float) -> bool:
        """Tell whether in every seat a child that was started after `since` has become ready, and all others leave.

        They need not all be ready at the same moment: tasks may keep killing one or the other.
        """
        return self.late(since) is None and not self._waits_for_successor()

    def late(self, since: float) -> SlotState | None:
        """Return a seat in which no child that was started after `since` has become ready, or None."""
        return next((seat for seat in self._needed() if not seat.works_since(since) or not seat.is_well(since)), None)

    def progress(self, since: float) -> tuple[int, int]:
        """Return how many seats are renewed, and how many children leave: for comparisons."""
        renewed = sum(seat.works_since(since) for seat in self.seats)
        return renewed, sum(bool(seat.child) for seat in self.leaving)

    def _waits_for_successor(self) -> bool:
        return any(seat.child and seat.child.stage is Stage.LEFT_ALONE for seat in self.leaving)

    def replace(self, seat: SlotState) -> bool:
        """Empty a seat for a new child. Its child works on until the new one is ready: see `due_to_leave`.

        Return False if no slot is free: then wait until a leaving child has ended.
        """
        index = self._free_index()
        if index is None or not seat.child:
            return False
        self.leaving.append(SlotState(seat.index, seat.spec, seat.child, leaves=True, successor=seat))
        seat.index, seat.child, seat.deaths, seat.settlers, seat.restart = index, None, (), 0, Restart()
        seat.by_task = False
        return True

    def due_to_leave(self) -> list[tuple[SlotState, Child]]:
        """Return the children that should be asked to leave now: their place is filled, or is gone."""
        return [
            (seat, seat.child)
            for seat in self.leaving
            if seat.child and seat.child.stage is Stage.LEFT_ALONE and self._is_relieved(seat)
        ]

    def _is_relieved(self, seat: SlotState) -> bool:
        place = seat.successor
        assert seat.child
        # the successor may have died meanwhile
        younger = math.nextafter(seat.child.started_at, math.inf)
        return place is None or place not in self.seats or place.works_since(younger)

    def pool(self, pool: str) -> list[SlotState]:
        """Return the seats of a pool."""
        return [seat for seat in self.seats if seat.spec.name.startswith(f"{pool}/")]

    def grow(self, pool: str) -> SlotState | None:
        """Add one seat to a pool of the configuration. The loop of the supervisor fills it in its next turn.

        Return None if no slot of the scoreboard is free. The next reload or start forgets the change.
        """
        index, used = self._free_index(), {seat.spec.name for seat in self.pool(pool)}
        if index is None or self._hire is None:
            return None
        number = next(number for number in range(len(used) + 1) if f"{pool}/{number}" not in used)
        seat = SlotState(index, self._hire(pool, number))
        self.seats.append(seat)
        return seat

    def shrink(self, pool: str, idle: Callable[[SlotState], bool]) -> SlotState | None:
        """Remove one seat of a pool, the last one that has no child or an `idle` one, or else the last.

        The loop asks its child to leave, so a running task is finished. Return None if the pool has no seat.
        `ChildChannels.is_idle` tells whether the child of a seat runs no task.
        """
        seats = self.pool(pool)[::-1]
        seat = next((seat for seat in seats if not seat.child or idle(seat)), seats[0] if seats else None)
        if seat is not None:
            self.retire(seat)
        return seat

    def retire(self, seat: SlotState) -> None:
        """Remove a seat. Its child is asked to leave; its deaths are settled."""
        self.seats.remove(seat)
        seat.leaves, seat.successor = True, None
        self.leaving.append(seat)
        self.free(seat)

    def place(self, seat: SlotState) -> bool:
        """Give a seat a free slot. Without one remove the seat, and return False."""
        index = self._free_index()
        if index is None:
            self.seats.remove(seat)
            return False
        seat.index = index
        return True

    def _free_index(self) -> int | None:
        used = {seat.index for seat in self.everywhere()}
        return next((index for index in range(self.slots) if index not in used), None)

    def steps(self) -> list[float]:
        """Return the times of the next escalations and forks."""
        return [seat.child.next_step_at if seat.child else seat.restart.not_before for seat in self.everywhere()]


def _owes(seat: SlotState) -> bool:
    return not seat.child and bool(seat.deaths) and seat.settlers < MOST_SETTLERS


def record_of(record: SlotRecord | None, child: Child) -> SlotRecord:
    """Return the record if this child wrote it, else an empty one: the child is starting, without worker and task.

    The record may be damaged (None), or still be the one of the previous child.
    """
    if record and record.pid == child.pid:
        return record
    return SlotRecord(
        child.pid, child.started_at, 0.0, ChildState.STARTING, deaths_settled=False, worker_id=None, task_id=None
    )
