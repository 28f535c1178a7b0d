"""What a worker holds at one moment: a lease, its tasks, and the settlements so far; shared by the main thread and the beating one, under one lock.

Also which leases this process knows: from the moment that it asks for one until its finish is confirmed or the claim has failed.
"""

import threading
import time
from collections.abc import Sequence

from dtqs.settlement import Settlement
from dtqs.task import Claimed

ROOM_BYTES = 32 << 20
"""Of outcomes that one finish should carry: PostgreSQL takes no statement of a gigabyte."""


class Hold:
    """One claim at a time. Methods that end in `_locked` want the lock held; the others take it themselves."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.known: set[str] = set()  # single set operations need no lock
        self.lease_id: str | None = None
        self.earlier_id: str | None = None
        """The lease before, while nobody knows whether its part was settled (the reply was lost)."""
        self.tasks: Sequence[Claimed] = ()
        self.earlier: list[Settlement] = []
        self.settled: list[Settlement] = []
        self.running: Claimed | None = None
        self.cut = False
        """The tasks not begun were given back: they are not to be run."""
        self.began = self.attempt_began = 0.0
        self._bytes = 0

    def asks(self, lease_id: str) -> None:
        self.known.add(lease_id)

    def forgets(self, lease_id: str) -> None:
        self.known.discard(lease_id)

    def begin(self, lease_id: str, tasks: Sequence[Claimed]) -> None:
        """The claim has come back with these."""
        with self.lock:
            self.lease_id, self.earlier_id = lease_id, None
            self.tasks, self.earlier, self.settled, self.running, self.cut = tasks, [], [], None, False
            self.began, self._bytes = time.monotonic(), 0

    def starts(self, task: Claimed) -> bool:
        """The main thread wants to run this one; False: it was given back, or is to be."""
        with self.lock:
            if self.cut or self._bytes > ROOM_BYTES:
                return False
            self.running, self.attempt_began = task, time.monotonic()
            return True

    def ends(self, settlement: Settlement) -> None:
        with self.lock:
            self.settled.append(settlement)
            self._bytes += len(settlement.value or "")
            self.running = None

    def done(self) -> None:
        """The finish is confirmed: nothing is held."""
        with self.lock:
            self.known.discard(self.lease_id or "")
            self.known.discard(self.earlier_id or "")
            self.lease_id = self.earlier_id = self.running = None
            self.tasks, self.settled, self.earlier = (), [], []

    @property
    def rest_locked(self) -> int:
        """How many tasks wait behind the running one."""
        return len(self.tasks) - len(self.settled) - 1 if self.running else 0

    def part_begins_locked(self, next_id: str) -> None:
        """What is settled goes out, what is not begun goes back, the running task goes on under the next lease."""
        self.known.add(next_id)
        self.earlier_id, self.lease_id = self.lease_id, next_id
        self.earlier, self.settled, self.cut = self.settled, [], True
        self.tasks = (self.running,) if self.running else ()

    def part_landed_locked(self) -> None:
        self.known.discard(self.earlier_id or "")
        self.earlier_id, self.earlier = None, []
