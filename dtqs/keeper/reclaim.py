"""Reclaim: end the leases of workers whose heartbeat does not change and, at the start, of this node's former workers.

The keeper writes the heartbeats of its node's silent workers whose processes live: the node vouches for them.
Nothing here waits for the broker: a late turn would make the judge forget its observations.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dtqs import naming
from dtqs.broker.keeper_link import KeeperLink
from dtqs.config import LeaseSection, SupervisorSection
from dtqs.deadline import Deadline
from dtqs.errors import WorkerDied
from dtqs.event import LogRef
from dtqs.given_up import GivenUp
from dtqs.keeper.judge import Judge, vouches
from dtqs.scoreboard import Death, SlotRecord
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals
from dtqs.tally import death_label

logger = logging.getLogger(__name__)
_SLOW_SECONDS = 1.0
"""A read of the heartbeats that takes longer shows that the database delays heartbeats too."""
_Dead = tuple[WorkerDied, str | None, Death | None]
"""Why a worker is dead, its last heartbeat, and its death, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Node:
    """The node of a keeper: its identity, this start of its supervisor, and the scoreboard of its workers."""

    node_id: str
    boot_id: str
    board: Callable[[], Sequence[SlotRecord]]
    vouch: Callable[[str, float], None]
    """Tells a worker until when nobody takes its leases (monotonic), since this keeper has written its heartbeat."""
    former: Sequence[Death] = ()
    """The deaths of workers of this node's earlier supervisors, with the tasks that they ran."""
    given_up: Callable[[], GivenUp] = GivenUp
    """Returns which slots of the node are given up, and why."""
    note: Callable[[str], None] = lambda _: None
    """Writes one line that the supervisor reads."""


class Reclaim:
    def __init__(
        self,
        store: Store,
        link: KeeperLink,
        totals: ProcessTotals,
        lease: LeaseSection,
        limits: SupervisorSection,
        node: Node,
    ) -> None:
        self._store, self._link, self._totals, self._lease, self._limits = store, link, totals, lease, limits
        self._node = node
        self._known = {death.worker_id: death for death in node.former}
        self._judge = Judge(lease.lease_seconds, lease.heartbeat_seconds / 2)
        self._vouched: frozenset[str] = frozenset()
        self._dead: dict[str, _Dead] = {}
        """The workers that are known to be dead. The database compares the heartbeat of each again."""
        self._failed: set[str] = set()
        """The workers of them whose last try failed. They wait until `_rest_until`."""
        self._rest_until = 0.0
        self._slow = False

    def former(self) -> bool:
        """Find this node's workers from before its supervisor started. The next turn ends their leases.

        The supervisor holds the node's lock, so they are gone. The marks of the old supervisor tell which task ran;
        without a mark each task of a lease counts a loss. Raises StoreUnavailable.
        """
        error = WorkerDied("its supervisor ended")
        for worker_id in self._store.workers.former(self._node.node_id, self._node.boot_id):
            self._dead[worker_id] = error, None, self._known.get(worker_id)
        return False

    def turn(self) -> bool:
        """Read all heartbeats, vouch for silent workers and reclaim from dead ones. Return whether more are left.

        Raises StoreUnavailable.
        """
        began = time.monotonic()
        try:
            heartbeats = self._store.workers.heartbeats()
            now = time.monotonic()
            self._note_read(now - began)
            self._judge.note(heartbeats, now)
            self._vouch(now)
        except Exception:
            self._judge.reset()
            self._rest_until = 0.0  # the last try may have failed in the same outage
            raise
        self._failed &= heartbeats.keys()
        for worker_id, seen in self._judge.dead(now).items():
            error = WorkerDied(f"no heartbeat for {self._judge.lease_seconds(worker_id):g} s")
            self._dead.setdefault(worker_id, (error, seen, None))
        return self._take_back_all()

    def _note_read(self, read_seconds: float) -> None:
        """Let a slow read count against no worker. The first of several is logged, since nobody is judged meanwhile."""
        was_slow, self._slow = self._slow, read_seconds > _SLOW_SECONDS
        if not self._slow:
            return
        self._judge.reset()
        if not was_slow:
            fields = {"read_seconds": round(read_seconds, 1), "limit_seconds": _SLOW_SECONDS}
            logger.warning("reads of heartbeats are slow: no worker is judged", extra=fields)

    def _take_back_all(self) -> bool:
        """Take back from the dead workers, those that failed before last. Return whether some were not tried.

        This ends after a third of a lease, since the next turn must vouch for silent workers in time. A worker that
        fails stops no other, and raises its error at the end. A try may wait for a lock, and then the turn is late.
        The judge needs a lease without a late turn to find other dead workers, so all failed ones rest for longer.
        """
        began, errors = time.monotonic(), list[Exception]()
        due = [worker_id for worker_id in self._dead if worker_id not in self._failed or began >= self._rest_until]
        due.sort(key=lambda worker_id: worker_id in self._failed)
        while due and (tried_at := time.monotonic()) - began <= self._lease.lease_seconds / 3:
            worker_id = due.pop(0)
            dead = self._dead.pop(worker_id)
            try:
                self._take_back(worker_id, *dead)
                self._failed.discard(worker_id)
            except Exception as error:  # a row of this worker is locked by somebody, or its lease is damaged
                logger.warning("take-back failed", extra={"worker_id": worker_id, "reason": str(error)})
                self._dead[worker_id] = dead  # behind the others
                self._failed.add(worker_id)
                errors.append(error)
                if (now := time.monotonic()) - tried_at > self._lease.heartbeat_seconds / 2:
                    self._rest_until = now + 1.5 * self._lease.lease_seconds
        for first in errors:
            raise first
        return bool(due)

    def _vouch(self, now: float) -> None:
        """Write the heartbeats of this node's silent workers whose processes live."""
        silent = {}
        for record in self._node.board():
            seconds = self._judge.silent_seconds(record.worker_id, now) if record.worker_id else None
            if (
                record.worker_id
                and seconds is not None
                and vouches(record, seconds, now, self._lease, self._limits)
                and is_sibling(record.pid)
            ):
                silent[record.worker_id] = self._judge.heartbeat(record.worker_id)
                if record.worker_id not in self._vouched:
                    logger.warning(
                        "vouching for a silent worker",
                        extra={"worker_id": record.worker_id, "pid": record.pid, "task_id": record.task_id},
                    )
        self._vouched = frozenset(silent)
        if silent:
            began = time.monotonic()
            written = self._store.workers.vouch(silent)
            for worker_id in written:
                self._node.vouch(worker_id, began + self._judge.own_lease_seconds(worker_id))
            # they hold for as long as the workers were told, also if this process stood still since `now`
            self._judge.note_vouched(written, time.monotonic())

    def _take_back(self, worker_id: str, error: WorkerDied, seen: str | None, death: Death | None) -> None:
        # one try, since the next turn is the repetition
        rows = self._store.leases.reclaim(worker_id, error, death, seen, deadline=Deadline(0))
        if rows is None:
            return
        ids = [task_id for _, task_id, _ in rows]
        requests = self._store.leases.requests_of(ids[: naming.NAMED_LIMIT]) if ids else ()
        fields = {"worker_id": worker_id, "cause": error.cause, **naming.of_ids(ids, requests)}
        logger.warning("dead worker's tasks taken back", extra=fields)
        self._totals.tally.add(f"deaths|{death_label(death.cause if death else error.cause)}")
        self._count(rows)
        if rows:
            self._link.publish_events(rows)
            dues = self._store.backlog.due([task_id for _, task_id, event in rows if event == "pending"])
            if dues:
                self._link.offer_hints(dues)

    def _count(self, rows: Sequence[LogRef]) -> None:
        """Count the tasks, and the outcomes among them."""
        counts = Counter(event for _, _, event in rows)
        self._totals.reclaimed += len(rows)
        self._totals.completed += counts["completed"]
        self._totals.failed += counts["failed"]
        self._totals.cancelled += counts["cancelled"]


def is_sibling(pid: int) -> bool:
    """Tell whether this is a running child of our own supervisor, and not a stranger with the number of a dead one.

    A process halted by SIGSTOP counts as not running: others may have its tasks, and its leases fence it when it wakes.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZXT" and int(fields[1]) == os.getppid()
