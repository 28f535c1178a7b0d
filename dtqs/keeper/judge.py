"""Who is dead, by this keeper's own clock: pure but for what it remembers. A worker is dead whose heartbeat has not changed for a lease time.

A node vouches for its own workers: `vouches` says for which.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.scoreboard import SlotRecord

_STARVED_TIMES = 3
"""So many times `beat_timeout_seconds` a supervisor gives a child that the machine keeps from running."""


@dataclass(slots=True)
class _Seen:
    """A heartbeat, when we saw it change last, and when the worker itself last changed it. Times are monotonic."""

    heartbeat: str
    changed_at: float
    own_at: float


class Judge:
    """Judges only what it has watched on time, without a gap, for a full lease time."""

    def __init__(self, lease_seconds: float, every_seconds: float) -> None:
        self._lease, self._late = lease_seconds, 2 * every_seconds + 1.0
        self._seen: dict[str, _Seen] = {}
        self._last = float("-inf")

    def looked(self, heartbeats: Mapping[str, str], now: float) -> None:
        """Note what all heartbeats are now."""
        if now - self._last > self._late:
            # we, or the database, stood still: nobody can be blamed for that time
            self._seen.clear()
        self._last = now
        for gone in self._seen.keys() - heartbeats.keys():
            del self._seen[gone]
        for worker_id, heartbeat in heartbeats.items():
            seen = self._seen.get(worker_id)
            if seen is None or seen.heartbeat != heartbeat:
                self._seen[worker_id] = _Seen(heartbeat, now, now)

    def vouched(self, heartbeats: Mapping[str, str], now: float) -> None:
        """Note what this keeper has written itself: the worker is as silent as before."""
        for worker_id, heartbeat in heartbeats.items():
            if seen := self._seen.get(worker_id):
                seen.heartbeat, seen.changed_at = heartbeat, now

    def failed(self) -> None:
        """A look failed or was slow: heartbeats were kept waiting as well."""
        self._seen.clear()

    def silent_seconds(self, worker_id: str, now: float) -> float | None:
        """Return for how long this worker has not written itself; None: it has no row, or is marked dead."""
        seen = self._seen.get(worker_id)
        return None if seen is None else now - seen.own_at

    def heartbeat(self, worker_id: str) -> str:
        """Return the heartbeat that was seen last."""
        return self._seen[worker_id].heartbeat

    def dead(self, now: float) -> dict[str, str]:
        """Return the workers to be marked dead, each with the heartbeat that it must still have then."""
        return {
            worker_id: seen.heartbeat for worker_id, seen in self._seen.items() if now - seen.changed_at >= self._lease
        }


def vouches(
    record: SlotRecord, silent_seconds: float, now: float, lease: LeaseSection, limits: SupervisorSection
) -> bool:
    """Tell whether a node is to vouch for the worker of this record, if its process is there.

    Only until its supervisor kills it, with `stop_seconds` to do so: a supervisor that stands still must not keep tasks from others.
    A worker that gives signs of life but cannot reach PostgreSQL is vouched for while its attempt may run, or else for `beat_timeout_seconds`.
    """
    mute = now - record.beat
    if record.pid == 0 or mute > _STARVED_TIMES * limits.beat_timeout_seconds + limits.stop_seconds:
        return False
    if record.kill_at and now > record.kill_at + limits.stop_seconds:
        return False
    if mute < lease.heartbeat_seconds and silent_seconds < 2 * lease.heartbeat_seconds:
        return False  # it speaks for itself
    return record.kill_at > 0 or silent_seconds <= limits.beat_timeout_seconds
