"""Judge which workers are dead: those whose heartbeat has not changed for a lease time, by this keeper's own clock.

A node vouches for its own workers; `vouches` decides for which.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dtqs.config import LeaseSection, SupervisorSection
from dtqs.scoreboard import SlotRecord
from dtqs.store.workers import Heartbeat

_STARVED_TIMES = 3
"""How many times `beat_timeout_seconds` a supervisor waits for a child that gets no CPU time."""


@dataclass(slots=True)
class _Seen:
    """A heartbeat, its last change, and its last change by the worker itself. Times are monotonic."""

    heartbeat: str
    changed_at: float
    own_at: float
    lease_seconds: float


class Judge:
    """Judges a worker only after watching it for a full lease time, on time and without a gap.

    The worker counts on its own lease time, and another node's may be shorter. The longer one holds.
    """

    def __init__(self, lease_seconds: float, every_seconds: float) -> None:
        self._lease, self._late = lease_seconds, 2 * every_seconds + 1.0
        self._seen: dict[str, _Seen] = {}
        self._last = float("-inf")

    def note(self, heartbeats: Mapping[str, Heartbeat], now: float) -> None:
        """Note the heartbeats of all workers."""
        if now - self._last > self._late:
            # This keeper or the database stood still, so that time counts against no worker.
            self._seen.clear()
        self._last = now
        for gone in self._seen.keys() - heartbeats.keys():
            del self._seen[gone]
        for worker_id, heartbeat in heartbeats.items():
            seen = self._seen.get(worker_id)
            if seen is None or seen.heartbeat != heartbeat.at:
                self._seen[worker_id] = _Seen(heartbeat.at, now, now, heartbeat.lease_seconds)

    def note_vouched(self, heartbeats: Mapping[str, str], now: float) -> None:
        """Note heartbeats that this keeper wrote. Their workers are as silent as before."""
        for worker_id, heartbeat in heartbeats.items():
            if seen := self._seen.get(worker_id):
                seen.heartbeat, seen.changed_at = heartbeat, now

    def reset(self) -> None:
        """Start again after a failed or slow read: heartbeats had to wait as well."""
        self._seen.clear()

    def silent_seconds(self, worker_id: str, now: float) -> float | None:
        """Return how long this worker has written nothing itself; None if it has no row or is marked dead."""
        seen = self._seen.get(worker_id)
        return None if seen is None else now - seen.own_at

    def heartbeat(self, worker_id: str) -> str:
        """Return the last seen heartbeat."""
        return self._seen[worker_id].heartbeat

    def own_lease_seconds(self, worker_id: str) -> float:
        """Return the lease time that this worker counts on."""
        return self._seen[worker_id].lease_seconds or self._lease

    def lease_seconds(self, worker_id: str) -> float:
        """Return how long this worker must be silent."""
        return max(self._lease, self._seen[worker_id].lease_seconds)

    def dead(self, now: float) -> dict[str, str]:
        """Return the workers to mark dead, each with the heartbeat that it must still have then."""
        return {
            worker_id: seen.heartbeat
            for worker_id, seen in self._seen.items()
            if now - seen.changed_at >= max(self._lease, seen.lease_seconds)
        }


def vouches(
    record: SlotRecord, silent_seconds: float, now: float, lease: LeaseSection, limits: SupervisorSection
) -> bool:
    """Tell whether a node vouches for the worker of this record, if its process exists.

    It does so only until the supervisor must have killed the worker, which may take `stop_seconds`. A supervisor that
    stands still must not keep tasks from others. A worker that beats but cannot reach PostgreSQL is vouched for while
    its attempt may run, otherwise for `beat_timeout_seconds`.
    """
    beatless_seconds = now - record.beat
    if record.pid == 0 or beatless_seconds > _STARVED_TIMES * limits.beat_timeout_seconds + limits.stop_seconds:
        return False
    if record.kill_at and now > record.kill_at + limits.stop_seconds:
        return False
    if beatless_seconds < lease.heartbeat_seconds and silent_seconds < 2 * lease.heartbeat_seconds:
        return False  # it writes its own heartbeats
    return record.kill_at > 0 or silent_seconds <= limits.beat_timeout_seconds
