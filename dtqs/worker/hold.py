"""The held lease of a worker, its tasks and their settlements. Main thread and beat thread share them under a lock.

It also has the known leases of this process: from the request of a claim until it fails or its finish is confirmed.
"""

import threading
import time
from collections.abc import Collection, Sequence
from operator import attrgetter

from dtqs import naming
from dtqs.settlement import Settlement
from dtqs.task import Claimed

_OTHER_THREADS = frozenset({"beat", "goodbye", "broker", "traces"})
"""Threads whose log lines need not be about the held tasks. These lines name tasks themselves."""
ROOM_BYTES = 32 << 20
"""Bytes of outcomes that one finish carries, about: PostgreSQL refuses a statement of a gigabyte."""


class Hold:
    """One claim at a time. Callers of methods that end in `_locked` hold the lock; the other methods take it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.known: set[str] = set()  # single set operations need no lock
        self.lease_id: str | None = None
        self.earlier_id: str | None = None
        """The previous lease, while it is unknown whether its part was settled (the reply was lost)."""
        self.tasks: Sequence[Claimed] = ()
        self.earlier: list[Settlement] = []
        self.rest: Sequence[Claimed] = ()
        """The tasks of the earlier lease that had not begun."""
        self.settled: list[Settlement] = []
        self.running: Claimed | None = None
        self.reported = False
        """An attempt of this claim has written a log row."""
        self.log_id = 0
        """The last log row of an attempt of this claim, as far as its reply came."""
        self.cut = False
        """The tasks that had not begun were given back: they must not run."""
        self.began = self.attempt_began = 0.0
        self._bytes = 0

    def expect(self, lease_id: str) -> None:
        """Note that a claim with this lease is requested."""
        self.known.add(lease_id)

    def forget(self, lease_id: str) -> None:
        """Note that the claim of this lease failed or was empty."""
        self.known.discard(lease_id)

    def begin(self, lease_id: str, tasks: Sequence[Claimed]) -> None:
        """Begin with the tasks of a claim."""
        with self.lock:
            self.lease_id, self.earlier_id = lease_id, None
            self.tasks, self.earlier, self.settled, self.running, self.cut = tasks, [], [], None, False
            self.began, self._bytes, self.reported, self.log_id = time.monotonic(), 0, False, 0

    def start(self, task: Claimed) -> bool:
        """Note that the main thread starts a task. Return False if it must not: the task was or will be given back."""
        with self.lock:
            if self.cut or self._bytes > ROOM_BYTES:
                return False
            self.running, self.attempt_began = task, time.monotonic()
            return True

    def end(self, settlement: Settlement) -> None:
        """Note the settlement of the running task."""
        with self.lock:
            self.settled.append(settlement)
            self._bytes += len(settlement.value or "")
            self.running = None

    def done(self) -> None:
        """Hold nothing: the finish is confirmed."""
        with self.lock:
            self.known.discard(self.lease_id or "")
            self.known.discard(self.earlier_id or "")
            self.lease_id = self.earlier_id = self.running = None
            self.tasks, self.settled, self.earlier, self.rest = (), [], [], ()

    def log_fields(self) -> naming.Fields:
        """Name the running task, or all tasks of the claim. A processor may log too, also in threads of its own.

        It takes no lock: a line may be written while another thread waits for one.
        """
        if threading.current_thread().name in _OTHER_THREADS:
            return {}
        running, tasks = self.running, self.tasks
        return naming.of_task(running) if running is not None else naming.of_tasks(tasks) if tasks else {}

    @property
    def task_type(self) -> str | None:
        """The type of the held tasks. A claim takes tasks of one type."""
        tasks = self.tasks
        return tasks[0].task_type if tasks else None

    @property
    def rest_locked(self) -> int:
        """The number of tasks that wait behind the running one."""
        return len(self.tasks) - len(self.settled) - 1 if self.running else 0

    def begin_part_locked(self, next_id: str) -> None:
        """Move the running task to the next lease. The settled tasks get finished, the others are given back."""
        self.known.add(next_id)
        self.earlier_id, self.lease_id = self.lease_id, next_id
        begun = len(self.settled) + (self.running is not None)
        self.earlier, self.settled, self.rest, self.cut = self.settled, [], self.tasks[begun:], True
        self.tasks = (self.running,) if self.running else ()

    def divide_locked(self, next_id: str, part: Collection[str]) -> None:
        """Move all tasks but those of `part` to the next lease. No task runs any more."""
        self.known.add(next_id)
        self.earlier_id, self.lease_id = self.lease_id, next_id
        begun = {one.task_id for one in self.settled}
        self.earlier = [one for one in self.settled if one.task_id in part]
        self.settled = [one for one in self.settled if one.task_id not in part]
        self.rest = [task for task in self.tasks if task.task_id in part and task.task_id not in begun]
        self.tasks = [task for task in self.tasks if task.task_id not in part]

    def unite_locked(self, tasks: Sequence[Claimed]) -> None:
        """Undo `divide_locked`, since its part was not committed. `tasks`: those before it."""
        self.known.discard(self.lease_id or "")
        self.lease_id, self.earlier_id = self.earlier_id, None
        self.settled = sorted([*self.earlier, *self.settled], key=attrgetter("task_id"))
        self.tasks, self.earlier, self.rest = tasks, [], ()

    def end_part_locked(self) -> None:
        """Forget the earlier lease: its part is settled."""
        self.known.discard(self.earlier_id or "")
        self.earlier_id, self.earlier, self.rest = None, [], ()
