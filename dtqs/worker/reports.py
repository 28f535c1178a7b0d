"""Progress, log rows and effect marks of the running task: written through its lease, then told to whoever watches."""

import logging
from collections.abc import Sequence

from dtqs.broker.worker_link import WorkerLink
from dtqs.errors import InputRefused, LeaseLost, PermanentError, Postponed, StoreRefused, StoreUnavailable
from dtqs.processors.base import Json
from dtqs.store import Store
from dtqs.task import DELAY_SECONDS_LIMIT, Effect
from dtqs.turn import Turn
from dtqs.worker.hold import Hold
from dtqs.worker.limits import AttemptLimits

logger = logging.getLogger(__name__)


class WorkerReporter:
    """The worker's Reporter. A lost progress row is no reason to lose an attempt; an effect that is not marked must not begin."""

    def __init__(self, store: Store, link: WorkerLink, hold: Hold, limits: AttemptLimits) -> None:
        self._store, self._link, self._hold, self._limits = store, link, hold, limits

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        self._report(task_id, attempt, "progress", "info", message, {"fraction": fraction, "message": message})

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None:
        self._report(task_id, attempt, "log", level, message, data)

    def take(self, turns: Sequence[Turn]) -> None:
        with self._limits.masked():
            waits = self._store.rates.take(turns)
        if waits:
            last = max((turn for turn in turns if turn.key in waits), key=lambda turn: waits[turn.key])
            raise Postponed(
                min(waits[last.key], DELAY_SECONDS_LIMIT), f"{last.key} may be used {last.per_second:g} times a second"
            )

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        with self._limits.masked(), self._hold.lock:
            if self._hold.running is None or self._hold.running.light or self._hold.lease_id is None:
                raise PermanentError("a light task may not have an effect: its processor must not say that it is light")
            self._store.leases.mark_effect(self._hold.lease_id, task_id, effect)

    def permit(self, task_id: str, uri: str, file_id: str) -> None:
        """Judge an upload that a processor opens, whatever its `sources()` said at the submit. Raises InputRefused, StoreUnavailable."""
        with self._limits.masked():
            may = self._store.files.may_open(task_id, file_id)
        if not may:
            raise InputRefused(uri, "there is no such file, or it is not the task's key's")

    def _report(self, task_id: str, attempt: int, event: str, level: str, message: str, data: Json) -> None:
        try:
            # under the lock, since the beating thread may move the task to another lease
            with self._limits.masked(), self._hold.lock:
                if self._hold.lease_id is None:
                    raise LeaseLost("none")
                log_id = self._store.leases.report(self._hold.lease_id, task_id, attempt, event, level, message, data)
        except (StoreUnavailable, StoreRefused) as error:
            logger.warning("report lost", extra={"task_id": task_id, "event": event, "reason": str(error)})
            return
        with self._limits.masked():
            self._link.publish_events([(log_id, task_id, event)])
