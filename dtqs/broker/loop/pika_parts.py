"""Private parts of pika: prompt writes, messages in one piece, and a loop that waits unlocked.

Only this file and pika_gevent_parts.py use such parts. tests/unit/broker/test_pika_parts.py names them and the versions
of pika that were tried.
"""

import threading
from collections.abc import Callable, Container, Sequence
from typing import Any

from pika import BlockingConnection
from pika.adapters.select_connection import EPollPoller, IOLoop, SelectConnection
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter
from pika.connection import Connection, Parameters

Opened = Callable[[Any], None]
Ended = Callable[[Any, Any], None]


def open_connection(ioloop: IOLoop, to: Parameters, opened: Opened, failed: Ended, closed: Ended) -> Connection:
    """Open a connection on one of pika's own loops."""
    services = PromptServices(ioloop)
    return _JoinedConnection(to, when_open(services, opened), failed, closed, custom_ioloop=services)


def end_after(connection: BlockingConnection, seconds: float, error: Exception) -> None:
    """Let a blocking connection raise an error at this time. Its calls have no limit of their own."""
    inner = connection._impl
    inner._adapter_call_later(seconds, lambda: inner._terminate_stream(error))


class PromptServices(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika has no types
    """The services of one connection. They write at once, and not when the loop comes round.

    Under gevent each write otherwise makes two watchers and waits behind whatever is ready to run. This is half of the
    cost of a publish, and half a millisecond until it leaves. `prompt` is set when the connection is open: until then
    a writer waits for the connection itself.
    """

    prompt = False
    _writing = _written = False

    def set_writer(self, fd: int, on_writable: Callable[[], None]) -> None:
        """Write now; the loop waits with the rest that the socket does not take."""
        if not self.prompt or self._writing:  # within a write TLS wants the socket to become writable first
            super().set_writer(fd, on_writable)
            return
        self._writing, self._written = True, False
        try:
            on_writable()
        finally:
            self._writing = False
        if not self._written:
            super().set_writer(fd, on_writable)

    def remove_writer(self, fd: int) -> bool:
        """Note that everything is written, or that the connection is given up."""
        self._written = True
        return bool(super().remove_writer(fd))


class _JoinedConnection(SelectConnection):  # type: ignore[misc]
    """Sends the two or three frames of a message as one piece. pika sends each alone, and each wakes the broker."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames((b"".join(marshaled_frames),))


def when_open(services: PromptServices, opened: Opened) -> Opened:
    """Return the callback of an opened connection, which first makes its writes prompt."""

    def call(connection: Any) -> None:
        services.prompt = True
        opened(connection)

    return call


class LockedLoop(IOLoop):  # type: ignore[misc]
    """pika's loop with a lock that its server holds, except during the wait for events."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = self._poller.lock = threading.Lock()

    @property
    def has_callbacks(self) -> bool:
        """Tell whether calls wait for their turn on the loop."""
        return bool(self._callbacks)

    def wake(self) -> None:
        """End the wait for events, from any thread."""
        self._poller.wake_threadsafe()

    @staticmethod
    def _get_poller(get_wait_seconds: Callable[[], float | None], process_timeouts: Callable[[], None]) -> "_Poller":
        return _Poller(get_wait_seconds=get_wait_seconds, process_timeouts=process_timeouts)


class _Poller(EPollPoller):  # type: ignore[misc]
    lock: threading.Lock
    _poll: Any
    _fd_handlers: Any

    def _init_poller(self) -> None:
        super()._init_poller()
        self._poll = _UnlockedPoll(self._poll, self.lock, self._fd_handlers)


class _UnlockedPoll:
    """An epoll object that waits without the lock. It drops events of sockets that were removed meanwhile."""

    def __init__(self, poll: Any, lock: threading.Lock, known: Container[int]) -> None:
        self._poll, self._lock, self._known = poll, lock, known
        self.register, self.modify = poll.register, poll.modify
        self.unregister, self.close = poll.unregister, poll.close

    def poll(self, seconds: float) -> Any:
        self._lock.release()
        try:
            events = self._poll.poll(seconds)
        finally:
            self._lock.acquire()
        return [(descriptor, event) for descriptor, event in events if descriptor in self._known]
