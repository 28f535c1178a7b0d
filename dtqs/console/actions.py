"""The operator's cancel and retry, as the console's keys call them. dtqs/operations.py does the work."""

from dtqs.broker.operator_link import OperatorLink
from dtqs.config import Config
from dtqs.deadline import Deadline
from dtqs.errors import DtqsError
from dtqs.operations import Notices, Operations
from dtqs.processors.catalog import Catalog
from dtqs.processors.sources import needed_uploads
from dtqs.store import Store
from dtqs.store.tasks import Caps
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7

_NOTIFY_SECONDS = 2.0
"""Time limit for a message to RabbitMQ. A keeper or a heartbeat makes up for a lost one."""


class Actions:
    """The operator's actions. `node_name` names this machine in the counters."""

    def __init__(self, store: Store, config: Config, name: str, node_name: str) -> None:
        self._store, self._config, self._node_name = store, config, node_name
        self._link = link = OperatorLink(config.rabbitmq, f"{name} publishes", config.routes)
        self._process_id, self._totals = uuid7(), ProcessTotals(routes=config.routes.text)
        notices = Notices(
            lambda dues: link.publish_hints(dues, Deadline(_NOTIFY_SECONDS)),
            lambda rows: link.publish_events(rows, Deadline(_NOTIFY_SECONDS)),
            lambda task_ids: link.publish_cancel(task_ids, Deadline(_NOTIFY_SECONDS)),
        )
        self._operations = Operations(store.tasks, notices, self._totals)
        self._catalog: Catalog | None = None

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
        cancelled = self._operations.cancel(task_id)
        if cancelled is None:
            return f"not cancelled: the task is already {self._store.reads.task(task_id).status}"
        return f"cancelled {task_id}" if cancelled.ended else f"asked the worker of {task_id} to cancel it"

    def _retry(self, task_id: str) -> str:
        task, limits = self._store.reads.task(task_id), self._config.limits
        needed = needed_uploads(self._processors(), task.task_type, task.payload)
        caps = Caps(limits.max_retries, limits.max_timeout_seconds)
        new = self._operations.retry(task_id, needed, caps)
        return f"submitted again as {new.task_id}" if new.fresh else f"already retried as {new.task_id}"

    def _processors(self) -> Catalog:
        """Load the processors at the first retry: one that fails to load must not keep the console from starting."""
        if self._catalog is None:
            self._catalog = Catalog.load(self._config)
        return self._catalog
