"""pika's connections, but what is written to an open one goes out at once and in one piece, not when the loop comes round.

Under gevent each write otherwise makes and drops two watchers and waits behind whatever is ready to run: half of what a publish costs, and half a
millisecond until it leaves.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pika.adapters.gevent_connection import GeventConnection, _GeventSelectorIOServicesAdapter
from pika.adapters.select_connection import SelectConnection
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter


class PromptServices(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika tells no types
    """One for each connection. `prompt` is set when that is open: before, a writer waits for the connection itself."""

    prompt = False
    _writing = _written = False

    def set_writer(self, fd: int, on_writable: Callable[[], None]) -> None:
        """Write now; wait for the loop with what the socket does not take."""
        if not self.prompt or self._writing:  # from inside a write: TLS wants the socket to be writable first
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
        """Everything is written (or the connection is being given up)."""
        self._written = True
        return bool(super().remove_writer(fd))


class PromptGeventServices(PromptServices, _GeventSelectorIOServicesAdapter):  # type: ignore[misc]
    """The same on gevent's loop, whose resolver it uses."""


class JoinedConnection(SelectConnection):  # type: ignore[misc]
    """Sends the two or three frames of a message as one, where pika says one after the other, each of which wakes the broker."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames((b"".join(marshaled_frames),))


class JoinedGeventConnection(GeventConnection):  # type: ignore[misc]
    """The same on gevent's loop."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames((b"".join(marshaled_frames),))


def when_open(services: PromptServices, opened: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the callback of an opened connection that makes its writes prompt first."""

    def call(connection: Any) -> None:
        services.prompt = True
        opened(connection)

    return call
