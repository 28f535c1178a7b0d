"""Watches the living children: notes that they are ready or have worked, escalates ends, and kills overdue ones."""

import logging

from dtqs.amounts import size
from dtqs.config import SupervisorSection
from dtqs.memory import resident_bytes
from dtqs.scoreboard import ChildState, SlotRecord
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.child import SILENT, Child, Stage
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.reach import Reach
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.silence import keep_stacks
from dtqs.supervisor.slot_state import SlotState

logger = logging.getLogger(__name__)
_ASLEEP_SECONDS = 2.0
"""A longer time between two turns shows that this process, or the machine, was frozen."""


class Watch:
    """Reads the scoreboard each turn. After a freeze of the machine, silence and time limits count from its end."""

    def __init__(self, section: SupervisorSection, roster: Roster, channels: ChildChannels, lock: NodeLock) -> None:
        self._section, self._roster, self._channels, self._lock = section, roster, channels, lock
        self._last_turn_at = float("inf")
        self._awake_since = float("-inf")
        self._reach = Reach(section.beat_timeout_seconds / 2)

    def note_turn(self, now: float) -> None:
        """Note that a turn of the supervisor begins."""
        if now - self._last_turn_at > _ASLEEP_SECONDS:
            self._awake_since = now
        self._last_turn_at = now

    def check(self, now: float) -> None:
        """Act on the records of all children."""
        records = [(slot, child, self._channels.read(slot, child)) for slot, child in self._roster.taken()]
        self._reach.note([record.heartbeat for _, _, record in records], now)
        for slot, child, record in records:
            _note_progress(slot, child, record, now)
            child.send_owed_term(record)
            self._kill_overdue(slot, child, record, now)
            before = child.stage
            child.escalate(now)
            if child.stage is not before:
                fields = {"child": slot.spec.name, "pid": child.pid, "next": child.stage.name.lower()}
                logger.warning("child did not end in time", extra=fields)

    def _kill_overdue(self, slot: SlotState, child: Child, record: SlotRecord, now: float) -> None:
        cause = child.overdue(record, now, self._awake_since, self._reach.since) or _grown_too_large(slot, child)
        if cause is None:
            child.note_sign_of_life()
            return
        fields: dict[str, object] = {
            "child": slot.spec.name,
            "pid": child.pid,
            "cause": cause,
            "task_id": record.task_id,
        }
        if cause.startswith(SILENT):
            if (threads := child.thread_report(record, now, self._awake_since)) is None:
                return
            fields |= {"threads": threads, "stacks": keep_stacks(self._lock.folder, slot.spec.name, child.pid)}
        logger.warning("killing child", extra=fields)
        child.kill(now, cause)


def _grown_too_large(slot: SlotState, child: Child) -> str | None:
    """Return why a child must be killed for its memory, or None. It reads /proc, since a hanging child cannot tell."""
    limit = slot.spec.memory_kill
    if not limit or child.stage is Stage.KILLED or (used := resident_bytes(child.pid)) <= limit:
        return None
    return f"its memory of {size(used)} passed [pool:{slot.spec.pool}] memory_kill = {size(limit)}"


def _note_progress(slot: SlotState, child: Child, record: SlotRecord, now: float) -> None:
    if record.state in (ChildState.READY, ChildState.DRAINING) and not child.seen_ready:
        child.note_ready(now)
        slot.restart = slot.restart.after_ready()
        logger.info("child ready", extra={"child": slot.spec.name, "pid": child.pid})
    if record.worked:
        slot.restart = slot.restart.after_work()
