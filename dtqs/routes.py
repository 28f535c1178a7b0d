"""Routes: the queue of each task type's hints. A route says where a hint goes, and nothing else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

QUEUE = "task_queue"
"""The queue of every type without a route."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_RESERVED = "amq."
"""RabbitMQ keeps these names for itself."""


def is_queue_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not name.lower().startswith(_RESERVED)


QUEUE_NAMES = "a letter, then at most 99 letters, digits, dots, _ and -, not amq.…"


@dataclass(frozen=True, slots=True)
class Routes:
    """The routed task types with their queues. A route to task_queue equals no route, and is not kept."""

    by_type: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {task_type: queue for task_type, queue in sorted(self.by_type.items()) if queue != QUEUE}
        object.__setattr__(self, "by_type", kept)

    def queue_of(self, task_type: str) -> str:
        return self.by_type.get(task_type, QUEUE)

    @property
    def queues(self) -> tuple[str, ...]:
        """Return all queues, task_queue first."""
        return (QUEUE, *sorted(set(self.by_type.values())))

    def types_of(self, queue: str) -> tuple[str, ...]:
        """Return the types with a route to this queue."""
        return tuple(task_type for task_type, target in self.by_type.items() if target == queue)

    def carried_by(self, queue: str) -> tuple[tuple[str, ...], bool]:
        """Return types and whether the queue carries just these. If not, it carries all others."""
        return (self.types_of(queue), True) if queue != QUEUE else (tuple(self.by_type), False)

    @property
    def text(self) -> str:
        """Return the routes as one line; empty without routes."""
        return ", ".join(f"{task_type} = {queue}" for task_type, queue in self.by_type.items())


NO_ROUTES = Routes()
