"""Reads the load of the autoscaled pools from the scoreboard and from the keeper's note, and resizes the pools."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from dtqs.config import PoolSection
from dtqs.due_note import DueNote
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.scaling import Load, Scaler

logger = logging.getLogger(__name__)
_TURN_SECONDS = 1.0
_STALE_SECONDS = 15.0
_MOST_SERVED = 1e12
"""More tasks, and seconds, than any process has."""


class Autoscaling:
    """The pools with `min` and `max`. The supervisor opens no connection: its keeper counts the due tasks."""

    def __init__(self, pools: Mapping[str, PoolSection], roster: Roster, channels: ChildChannels) -> None:
        self._pools = {name: section for name, section in pools.items() if section.max}
        self._roster, self._channels = roster, channels
        self._scalers = {name: Scaler(section) for name, section in self._pools.items()}
        self._served: dict[int, tuple[float, float]] = {}
        self._due: dict[str, int] = {}
        self._counted_at = self._note_at = float("-inf")
        self._next_at = 0.0
        self._damaged_at: float | None = None
        self._is_logged = self._has_failed = False

    def limits(self, pool: str) -> tuple[int, int] | None:
        """Return the least and the most workers of an autoscaled pool."""
        section = self._pools.get(pool)
        return (section.min, section.max) if section else None

    def keep(self, slots: Collection[Mapping[str, Any]]) -> None:
        """Before the children of these slots are adopted, make as many slots: a reload must not shrink a pool."""
        for pool, section in self._pools.items():
            before = sum(slot["name"].startswith(f"{pool}/") and not slot["leaves"] for slot in slots)
            while len(self._roster.pool(pool)) < min(before, section.max) and self._roster.grow(pool):
                pass

    def turn(self, now: float) -> None:
        """Take the steps that are due."""
        if not self._pools or now < self._next_at or self._roster.paused:
            return
        self._next_at = now + _TURN_SECONDS
        try:
            self._learn()
            self._read_due(now)
            for pool, scaler in self._scalers.items():
                self._scale(pool, scaler, now)
        except Exception:  # its numbers come from memory that tasks can damage, and the children must live
            if not self._has_failed:
                logger.exception("pools keep their sizes: autoscaling failed")
            self._has_failed = True
        else:
            self._has_failed = False

    def _scale(self, pool: str, scaler: Scaler, now: float) -> None:
        slots = self._roster.pool(pool)
        busy = sum(not self._channels.is_idle(slot) for slot in slots)
        due = self._due.get(pool) if now - self._counted_at < _STALE_SECONDS else None
        step = scaler.step(Load(len(slots), busy, due), now)
        if step is None:
            return
        if step.workers < len(slots):
            # never a busy one: its place may be wanted again before its task has ended
            if busy == len(slots) or self._roster.shrink(pool, self._channels.is_idle) is None:
                return
            scaler.shrunk(now)
        while len(self._roster.pool(pool)) < step.workers and self._roster.grow(pool):
            pass
        workers = len(self._roster.pool(pool))
        if workers != len(slots):
            fields = {"pool": pool, "workers": workers, "before": len(slots), "reason": step.reason}
            logger.info("pool resized", extra=fields)

    def _learn(self) -> None:
        """Measure the time of one task in each pool since the last turn. A task may have damaged a record."""
        served: dict[int, tuple[float, float]] = {}
        found: dict[str, tuple[float, float]] = {}
        for slot, child in self._roster.taken():
            record = self._channels.read(slot, child)
            before = self._served.get(child.pid, (0.0, 0.0))
            if not (0 <= record.tasks <= _MOST_SERVED and 0 <= record.busy_seconds <= _MOST_SERVED):
                served[child.pid] = before
                continue
            served[child.pid] = record.tasks, record.busy_seconds
            tasks, seconds = found.get(slot.spec.pool, (0.0, 0.0))
            found[slot.spec.pool] = tasks + record.tasks - before[0], seconds + record.busy_seconds - before[1]
        self._served = served
        for pool, (tasks, seconds) in found.items():
            if pool in self._scalers:
                self._scalers[pool].served(tasks, seconds)

    def _read_due(self, now: float) -> None:
        """Read the keeper's note. A torn or old one changes nothing. One that stays damaged is logged once."""
        line = self._channels.keepers_note()
        note = DueNote.read(line)
        if note is None and line:
            self._damaged_at = self._damaged_at or now
            if now - self._damaged_at >= _STALE_SECONDS and not self._is_logged:
                self._is_logged = True
                fields = {"reason": "the keeper's note is damaged", "bytes": len(line), "advice": "restart the service"}
                logger.error("due tasks are not known, so pools keep their sizes", extra=fields)
            return
        self._damaged_at, self._is_logged = None, False
        if note and note.at != self._note_at:
            self._note_at, self._counted_at, self._due = note.at, now, dict(note.due)
