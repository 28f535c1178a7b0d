"""pika's loop, whose connections other threads may use while it waits: it holds a lock but for that.

To hand a message to the loop's thread takes waking it: a fifth of a millisecond, where to publish takes a tenth.
"""

import threading
from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import EPollPoller, IOLoop


class _Unlocked:
    """An epoll object whose wait is done without the lock."""

    def __init__(self, poll: Any, lock: threading.Lock) -> None:
        self._poll, self._lock = poll, lock
        self.register, self.modify, self.unregister, self.close = poll.register, poll.modify, poll.unregister, poll.close

    def poll(self, seconds: float) -> Any:
        self._lock.release()
        try:
            return self._poll.poll(seconds)
        finally:
            self._lock.acquire()


class _Poller(EPollPoller):  # type: ignore[misc]  # pika tells no types
    lock: threading.Lock
    _poll: Any

    def _init_poller(self) -> None:
        super()._init_poller()
        self._poll = _Unlocked(self._poll, self.lock)


class SharedLoop(IOLoop):  # type: ignore[misc]
    """Who holds `lock` may do what its callbacks may, if that needs no timer: the loop would learn of it late."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = self._poller.lock = threading.Lock()

    def start(self) -> None:
        with self.lock:
            super().start()

    @staticmethod
    def _get_poller(get_wait_seconds: Callable[[], float | None], process_timeouts: Callable[[], None]) -> _Poller:
        return _Poller(get_wait_seconds=get_wait_seconds, process_timeouts=process_timeouts)
