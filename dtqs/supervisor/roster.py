"""The slots, their children, the deaths that each must settle, and the next steps. It makes no system call.

A slot is a place that the node keeps filled. Its child may leave: then the child goes to `leaving` with its record of
the scoreboard, and the slot gets another record and a new child.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from dtqs.config import SupervisorSection
from dtqs.given_up import GivenUp
from dtqs.scoreboard import ChildState, Death, SlotRecord
from dtqs.supervisor.causes import death_of, is_by_task
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
    """All slots, in the order of the specs, and the leaving children. `hire` makes the spec of a worker of a pool.

    `records`: how many records of the scoreboard children may have.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        section: SupervisorSection,
        records: int,
        hire: Callable[[str, int], ChildSpec] | None = None,
    ) -> None:
        self.slots = [SlotState(index, spec) for index, spec in enumerate(specs)]
        self.leaving: list[SlotState] = []
        self.records, self._section, self._hire = records, section, hire
        self.paused = False
        """Workers finish and are not replaced, since an operator has asked for it."""

    def everywhere(self) -> Iterator[SlotState]:
        """Yield all slots, then all that leave."""
        yield from self.slots
        yield from self.leaving

    def taken(self) -> Iterator[tuple[SlotState, Child]]:
        """Yield the slots that have a child, with the child, and the leaving children."""
        for slot in [*self.everywhere()]:
            if slot.child:
                yield slot, slot.child

    def pids(self) -> frozenset[int]:
        return frozenset(child.pid for _, child in self.taken())

    def slot_of(self, pid: int) -> SlotState | None:
        return next((slot for slot, child in self.taken() if child.pid == pid), None)

    def vacant(self, now: float) -> list[SlotState]:
        """Return the empty slots whose next fork is due."""
        return [slot for slot in self._needed() if not slot.child and slot.restart.not_before <= now]

    def _needed(self) -> list[SlotState]:
        """Return the slots that should have a child."""
        return [slot for slot in self.slots if not (self.paused and slot.spec.is_worker)]

    def owing(self, running: bool = False) -> list[SlotState]:
        """Return the slots that need one more child only to take back the leases of their dead children.

        In a drain, or a pause, these are all slots with such deaths. While the node is `running`, they are the leaving
        ones.
        """
        only_leaving = running and not self.paused
        return [slot for slot in (self.leaving if only_leaving else self.everywhere()) if _owes(slot)]

    def filled(self, slot: SlotState, pid: int, now: float, settler: bool) -> Child:
        """Note that a child was forked."""
        slot.child = Child(pid, now, slot.deaths, self._section, slot.restart.wait_seconds)
        # a later pause or drain may fork as many again
        slot.settlers = slot.settlers + 1 if settler else 0
        return slot.child

    def not_filled(self, slot: SlotState, now: float, settler: bool) -> None:
        """Note that the fork failed."""
        slot.restart = slot.restart.after_failed_fork(now, self._section)
        slot.settlers += settler
        self.free(slot)

    def vacated(
        self, slot: SlotState, child: Child, end: End, record: SlotRecord, now: float, out_of_memory: bool
    ) -> Death | None:
        """Note that a child has ended. Return the death that its successor must settle, if there is one."""
        death = death_of(child, end, record, now, out_of_memory)
        owed = () if record.deaths_settled else child.deaths
        slot.deaths = (*owed, death)[-MOST_DEATHS:] if death else owed
        asked = (child.stage in (Stage.DRAINING, Stage.STOPPING) or record.leaves) and end.status == 0
        ready = child.seen_ready or record.state in (ChildState.READY, ChildState.DRAINING)
        slot.by_task = death is not None and is_by_task(death, record)
        if ready:
            slot.proved_at = child.started_at
        lived = now - child.started_at
        if asked:
            slot.restart = slot.restart.after_request(now, lived, self._section)
        elif slot.by_task:
            # the task counts its deaths and has its own backoff; an empty slot would only delay taking back the leases
            soon = not record.worked and now - child.takes_from <= self._section.young_seconds
            slot.restart = slot.restart.after_task_death(now, self._section, soon, lived)
        else:
            slot.restart = slot.restart.after_death(lived, now, self._section, ready)
        slot.child = None
        self.free(slot)
        return death

    def free(self, slot: SlotState) -> None:
        """Free the record of a leaving child that has ended and owes nothing. A keeper takes back what is left."""
        if slot.leaves and not slot.child and not _owes(slot):
            self.leaving.remove(slot)

    def is_given_up(self, slot: SlotState) -> bool:
        """Tell whether too many of its children have ended before they were ready."""
        return slot.restart.given_up(self._section)

    def given_up(self) -> GivenUp:
        """Return the slots that are given up, and why."""
        return GivenUp.of([(slot.spec.name, slot.reason) for slot in self.slots if self.is_given_up(slot)])

    def ready(self) -> int:
        """Return how many slots have a ready child. A leaving one counts while its slot waits for another."""
        ready = sum(slot.child is not None and slot.child.seen_ready for slot in self.slots)
        waited_for = sum(slot.child is not None and slot.child.stage is Stage.LEFT_ALONE for slot in self.leaving)
        return min(ready + waited_for, len(self.slots))

    def summary(self) -> str:
        """Return how many children are ready, and which slots are given up or slowed down, as text for people."""
        left = sum(slot.child is not None and slot.child.stage is not Stage.LEFT_ALONE for slot in self.leaving)
        names = [slot.spec.name for slot in self.slots if self.is_given_up(slot)]
        text = "paused by an operator; " if self.paused else ""
        text += f"{self.ready()} of {len(self.slots)} children ready"
        leave = "finishes its task and leaves" if left == 1 else "finish their task and leave"
        text += f"; {left} more {leave}" if left else ""
        text += f"; given up: {', '.join(names)}" if names else ""
        slow = [
            f"{slot.spec.name} ({slot.restart.fruitless} deaths)" for slot in self.slots if slot.restart.wait_seconds
        ]
        return text + (
            f"; slowed down, since tasks kill its workers before they finish any: {', '.join(slow)}" if slow else ""
        )

    def all_ready(self) -> bool:
        return all(slot.child and slot.child.seen_ready for slot in self._needed())

    def workers_gone(self) -> bool:
        """Tell whether, in a drain, no worker is left and none is needed: then the keeper may end."""
        return not any(slot.spec.is_worker for slot, _ in self.taken()) and not any(
            slot.spec.is_worker for slot in self.owing()
        )

    def to_roll(self, since: float) -> SlotState | None:
        """Return the next slot to renew in a rolling restart that was requested at `since`.

        One slot at a time, and only while all work: a new child that cannot start leaves all old ones at work.
        """
        if self._waits_for_successor() or not all(slot.is_well(since) for slot in self._needed()):
            return None
        return next((slot for slot in self.slots if slot.child and slot.child.started_at < since), None)

    def rolled(self, since: float) -> bool:
        """Tell whether in every slot a child that was started after `since` has become ready, and all others leave.

        They need not all be ready at the same moment: tasks may keep killing one or the other.
        """
        return self.late(since) is None and not self._waits_for_successor()

    def late(self, since: float) -> SlotState | None:
        """Return a slot in which no child that was started after `since` has become ready, or None."""
        return next((slot for slot in self._needed() if not slot.works_since(since) or not slot.is_well(since)), None)

    def progress(self, since: float) -> tuple[int, int]:
        """Return how many slots are renewed, and how many children leave: for comparisons."""
        renewed = sum(slot.works_since(since) for slot in self.slots)
        return renewed, sum(bool(slot.child) for slot in self.leaving)

    def _waits_for_successor(self) -> bool:
        return any(slot.child and slot.child.stage is Stage.LEFT_ALONE for slot in self.leaving)

    def replace(self, slot: SlotState) -> bool:
        """Empty a slot for a new child. Its child works on until the new one is ready: see `due_to_leave`.

        Return False if no record is free: then wait until a leaving child has ended.
        """
        index = self._free_index()
        if index is None or not slot.child:
            return False
        self.leaving.append(SlotState(slot.index, slot.spec, slot.child, leaves=True, successor=slot))
        slot.index, slot.child, slot.deaths, slot.settlers, slot.restart = index, None, (), 0, Restart()
        slot.by_task = False
        return True

    def due_to_leave(self) -> list[tuple[SlotState, Child]]:
        """Return the children that should be asked to leave now: their place is filled, or is gone."""
        return [
            (slot, slot.child)
            for slot in self.leaving
            if slot.child and slot.child.stage is Stage.LEFT_ALONE and self._is_relieved(slot)
        ]

    def _is_relieved(self, slot: SlotState) -> bool:
        place = slot.successor
        assert slot.child
        # the successor may have died meanwhile
        younger = math.nextafter(slot.child.started_at, math.inf)
        return place is None or place not in self.slots or place.works_since(younger)

    def pool(self, pool: str) -> list[SlotState]:
        """Return the slots of a pool."""
        return [slot for slot in self.slots if slot.spec.name.startswith(f"{pool}/")]

    def grow(self, pool: str) -> SlotState | None:
        """Add one slot to a pool of the configuration. The loop of the supervisor fills it in its next turn.

        Return None if no record of the scoreboard is free. The next reload or start forgets the change.
        """
        index, used = self._free_index(), {slot.spec.name for slot in self.pool(pool)}
        if index is None or self._hire is None:
            return None
        number = next(number for number in range(len(used) + 1) if f"{pool}/{number}" not in used)
        slot = SlotState(index, self._hire(pool, number))
        self.slots.append(slot)
        return slot

    def shrink(self, pool: str, idle: Callable[[SlotState], bool]) -> SlotState | None:
        """Remove one slot of a pool, the last one that has no child or an `idle` one, or else the last.

        The loop asks its child to leave, so a running task is finished. Return None if the pool has no slot.
        `ChildChannels.is_idle` tells whether the child of a slot runs no task.
        """
        slots = self.pool(pool)[::-1]
        slot = next((slot for slot in slots if not slot.child or idle(slot)), slots[0] if slots else None)
        if slot is not None:
            self.retire(slot)
        return slot

    def retire(self, slot: SlotState) -> None:
        """Remove a slot. Its child is asked to leave; its deaths are settled."""
        self.slots.remove(slot)
        slot.leaves, slot.successor = True, None
        self.leaving.append(slot)
        self.free(slot)

    def place(self, slot: SlotState) -> bool:
        """Give a slot a free record. Without one remove the slot, and return False."""
        index = self._free_index()
        if index is None:
            self.slots.remove(slot)
            return False
        slot.index = index
        return True

    def _free_index(self) -> int | None:
        used = {slot.index for slot in self.everywhere()}
        return next((index for index in range(self.records) if index not in used), None)

    def steps(self) -> list[float]:
        """Return the times of the next escalations and forks."""
        return [slot.child.next_step_at if slot.child else slot.restart.not_before for slot in self.everywhere()]


def _owes(slot: SlotState) -> bool:
    return not slot.child and bool(slot.deaths) and slot.settlers < MOST_SETTLERS


def record_of(record: SlotRecord | None, child: Child) -> SlotRecord:
    """Return the record if this child wrote it, else an empty one: the child is starting, without worker and task.

    The record may be damaged (None), or still be the one of the previous child.
    """
    if record and record.pid == child.pid:
        return record
    return SlotRecord(
        child.pid, child.started_at, 0.0, ChildState.STARTING, deaths_settled=False, worker_id=None, task_id=None
    )
