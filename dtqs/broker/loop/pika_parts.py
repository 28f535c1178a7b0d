"""Private parts of pika: prompt writes, messages as a whole in both directions, and a loop that waits unlocked.

Only this file and pika_gevent_parts.py use such parts. tests/unit/broker/test_pika_parts.py names them and the versions
of pika that were tried.
"""

import threading
from collections.abc import Callable, Container, Sequence
from typing import Any

from pika import BasicProperties, BlockingConnection
from pika.adapters.select_connection import EPollPoller, IOLoop, SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncPlaintextTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter
from pika.connection import Connection, Parameters
from pika.spec import Basic

from dtqs.broker.loop.delivery import FramedDelivery, delivery_at

_READ_BYTES = 1 << 15
NO_PROPERTIES = BasicProperties()
"""The properties of every delivery: nobody here reads them."""
Opened = Callable[[Any], None]
Ended = Callable[[Any, Any], None]


def open_connection(ioloop: IOLoop, to: Parameters, opened: Opened, failed: Ended, closed: Ended) -> Connection:
    """Open a connection on one of pika's own loops."""
    services = PromptServices(ioloop)
    return _Connection(to, when_open(services, opened), failed, closed, custom_ioloop=services)


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


class WholeMessages(Connection):  # type: ignore[misc]
    """Sends the frames of a message as one piece, and reads a delivery as one.

    pika sends each frame alone, and each wakes the broker. It also decodes each frame alone.
    """

    _frame_buffer: bytes
    _channels: dict[int, Any]
    bytes_received: int
    frames_received: int

    def _proto_connection_made(self, transport: Any) -> None:
        """Read once whenever the socket is readable. pika reads until there is nothing more, which is an exception.

        TLS may hold decrypted bytes that no readable socket announces, so pika's way stays there.
        """
        if isinstance(transport, _AsyncPlaintextTransport):
            transport._MAX_RECV_BYTES, transport._MAX_CONSUME_BYTES = _READ_BYTES, 1
        super()._proto_connection_made(transport)

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames((b"".join(marshaled_frames),))

    def _on_data_available(self, data_in: bytes) -> None:
        """Pass on whole deliveries at once, and all else frame by frame in pika's way."""
        data = self._frame_buffer = self._frame_buffer + data_in
        at = 0
        while at < len(data):
            found = delivery_at(data, at)
            callback = None if found is None else self._consumer_of(found)
            if found is not None and callback is not None:
                self._count(found.end - at, 3 if found.body else 2)
                at = found.end
                try:
                    callback(self._channels[found.channel], _deliver(found), NO_PROPERTIES, found.body)
                except BaseException:
                    self._frame_buffer = data[at:]  # this delivery must not come twice
                    raise
                if self._frame_buffer is not data:
                    return  # the connection was reset meanwhile
                continue
            self._frame_buffer = data[at:]
            consumed, frame = self._read_frame()
            if not frame:
                return
            self._trim_frame_buffer(consumed)
            self._process_frame(frame)
            data, at = self._frame_buffer, 0
        self._frame_buffer = b""

    def _consumer_of(
        self, found: FramedDelivery
    ) -> Callable[[Any, Basic.Deliver, BasicProperties, bytes], None] | None:
        """Return the callback of a delivery. None: pika must decide, or an earlier message is still incomplete."""
        channel = self._channels.get(found.channel)
        if channel is None or found.consumer_tag in channel._cancelled or channel._content_assembler._method_frame:
            return None
        return channel._consumers.get(found.consumer_tag)  # type: ignore[no-any-return]

    def _count(self, size_bytes: int, frames: int) -> None:
        """Count, so that pika knows that the broker lives."""
        self.bytes_received += size_bytes
        self.frames_received += frames


def _deliver(found: FramedDelivery) -> Basic.Deliver:
    return Basic.Deliver(found.consumer_tag, found.delivery_tag, found.redelivered, found.exchange, found.routing_key)


class _Connection(WholeMessages, SelectConnection):  # type: ignore[misc]
    """A connection on one of pika's own loops."""


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
