"""The slot of a worker process: its place in the node, and the channels to its supervisor."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dtqs.scoreboard import Death, Slot
from dtqs.store.workers import WorkerIdentity
from dtqs.uuid7 import uuid7


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """Pool and number of a worker, its scoreboard slot, its node, and the deaths before it that nobody has settled."""

    pool: str
    number: int
    slot: Slot
    node_id: str
    boot_id: str
    deaths: tuple[Death, ...]
    last_words: Callable[[str], None] = lambda text: None
    """Stores one line that says why this process ends."""
    offer_stacks: Callable[[], None] = lambda: None
    """Registers the handler that writes stacks again: a task may have replaced it."""
    wait_seconds: float = 0.0
    """How long it takes no task after it is ready: tasks have killed its predecessors in this slot."""

    def identity(self, task_types: Sequence[str], queues: Sequence[str], lease_seconds: float) -> WorkerIdentity:
        """Return a new identity, of this process."""
        here = (self.node_id, self.boot_id, socket.gethostname(), self.pool, self.number, os.getpid())
        return WorkerIdentity(uuid7(), *here, tuple(task_types), tuple(queues), lease_seconds)
