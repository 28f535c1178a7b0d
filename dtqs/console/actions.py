"""Cancel or retry a task for the operator: change PostgreSQL first, then notify workers and watchers."""

from dtqs.broker.operator_link import OperatorLink
from dtqs.config import RabbitmqSection
from dtqs.deadline import Deadline
from dtqs.errors import DtqsError
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals
from dtqs.task import Due, Status
from dtqs.uuid7 import uuid7

_NOTIFY_SECONDS = 2.0
"""Time limit for a message to RabbitMQ. A keeper or a heartbeat makes up for a lost one."""


class Actions:
    """The operator's actions. `node_name` names this machine in the counters."""

    def __init__(self, store: Store, rabbitmq: RabbitmqSection, name: str, node_name: str) -> None:
        self._store, self._node_name = store, node_name
        self._link = OperatorLink(rabbitmq, f"{name} publishes")
        self._process_id, self._totals = uuid7(), ProcessTotals()

    def act(self, action: str, task_id: str) -> str:
        """Run the action and return a notice about its result."""
        try:
            notice = self._cancel(task_id) if action == "cancel" else self._retry(task_id)
            self._store.workers.count(self._process_id, "console", self._node_name, self._totals)
        except DtqsError as error:
            return f"{action}: {error}"
        return notice

    def close(self) -> None:
        self._link.close()

    def _cancel(self, task_id: str) -> str:
        done = self._store.tasks.cancel([task_id])
        if not done:
            return f"not cancelled: the task is already {self._store.reads.task(task_id).status}"
        if done[0].ended:
            self._totals.cancelled += 1
            self._link.publish_events([(done[0].log_id, task_id, Status.CANCELLED.value)], Deadline(_NOTIFY_SECONDS))
            return f"cancelled {task_id}"
        self._link.publish_cancel([task_id], Deadline(_NOTIFY_SECONDS))
        return f"asked the worker of {task_id} to cancel it"

    def _retry(self, task_id: str) -> str:
        new = self._store.tasks.retry(task_id, uuid7())
        if not new.fresh:
            return f"already retried as {new.task_id}"
        self._totals.submitted += 1
        self._link.publish_hints(
            [Due(new.task_id, new.task_type, new.light, new.priority, new.publish_at)], Deadline(_NOTIFY_SECONDS)
        )
        return f"submitted again as {new.task_id}"
