"""Writes progress, log rows and effect marks of the running task through its lease, and publishes their events."""

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from dtqs.broker.worker_link import WorkerLink
from dtqs.errors import InputRefused, LeaseLost, Postponed, StoreRefused, StoreUnavailable, TransientError
from dtqs.processors.base import Json
from dtqs.store import Store
from dtqs.task import DELAY_SECONDS_LIMIT, LIGHT_EFFECT, Effect
from dtqs.turn import Turn
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits

logger = logging.getLogger(__name__)


class WorkerReporter:
    """The Reporter of a worker. An attempt survives a lost progress row; an effect must not begin without its mark."""

    def __init__(self, store: Store, link: WorkerLink, hold: Hold, limits: AttemptLimits) -> None:
        self._store, self._link, self._hold, self._limits = store, link, hold, limits

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        self._report(task_id, attempt, "progress", "info", message, {"fraction": fraction, "message": message})

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None:
        self._report(task_id, attempt, "log", level, message, data)

    def take(self, turns: Sequence[Turn]) -> None:
        with self._limits.interrupts_deferred():
            answer = self._store.rates.take(turns)
        waits = answer.refused
        if waits:
            last = max((turn for turn in turns if turn.key in waits), key=lambda turn: waits[turn.key])
            raise Postponed(
                min(waits[last.key], DELAY_SECONDS_LIMIT),
                f"the rate limit {last.key} allows {last.per_second:g} turns a second",
            )
        if answer.seconds:
            time.sleep(answer.seconds)  # a stop, a cancel or a time limit interrupts it

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        with self._limits.interrupts_deferred(), self._hold.lock:
            lease_id = self._lease_locked(task_id)
            if self._hold.running is None or self._hold.running.light:
                raise TransientError(LIGHT_EFFECT)
            self._store.leases.mark_effect(lease_id, task_id, effect)

    def permit(self, task_id: str, uri: str, file_id: str) -> None:
        """Check an upload that a processor opens, in `sources()` or not. Raises InputRefused, StoreUnavailable."""
        with self._limits.interrupts_deferred():
            may = self._store.files.may_open(task_id, file_id)
        if not may:
            raise InputRefused(uri, "no such file belongs to the API key of this task; upload it with the same key")

    def _report(self, task_id: str, attempt: int, event: str, level: str, message: str, data: Json) -> None:
        try:
            # under the lock, because the beat thread may move the task to another lease
            with self._limits.interrupts_deferred(), self._hold.lock:
                lease_id = self._lease_locked(task_id, attempt)
                self._hold.reported = True
                row = task_id, attempt, event, level, message, data, self._hold.log_id
                log_id = self._hold.log_id = self._write_locked(lease_id, *row)
        except (StoreUnavailable, StoreRefused) as error:
            logger.warning("report lost", extra={"task_id": task_id, "event": event, "reason": str(error)})
            return
        with self._limits.interrupts_deferred():
            self._link.publish_events([(log_id, task_id, event)])

    def _lease_locked(self, task_id: str, attempt: int | None = None) -> str:
        """Return the lease of a running attempt. Raises LeaseLost for one that has ended while a thread waited here."""
        running, lease_id = self._hold.running, self._hold.lease_id
        if running is None or lease_id is None or running.task_id != task_id or attempt not in (None, running.attempt):
            raise LeaseLost(lease_id or "none")
        return lease_id

    def _write_locked(self, lease_id: str, *row: Any) -> int:
        earlier_id = self._hold.earlier_id
        # the part that moves the task to the next lease may be committed at any time, also between two of these tries
        for one in (lease_id, earlier_id) if earlier_id else ():
            with contextlib.suppress(LeaseLost):
                return self._store.leases.report(one, *row)
        return self._store.leases.report(lease_id, *row)
