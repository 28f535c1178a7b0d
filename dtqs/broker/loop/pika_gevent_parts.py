"""The private parts of pika on gevent's loop. Only API processes load it: gevent costs the others 5 MB."""

from collections.abc import Sequence

import gevent
from pika.adapters.gevent_connection import (
    GeventConnection,
    _GeventSelectorIOLoop,
    _GeventSelectorIOServicesAdapter,
)
from pika.connection import Connection, Parameters

from dtqs.broker.loop.pika_parts import Ended, Opened, PromptServices, when_open


def open_gevent_connection(to: Parameters, opened: Opened, failed: Ended, closed: Ended) -> Connection:
    """Open a connection on gevent's loop."""
    services = _PromptGeventServices(_GeventSelectorIOLoop(gevent.get_hub()))
    return _JoinedGeventConnection(to, when_open(services, opened), failed, closed, custom_ioloop=services)


class _PromptGeventServices(PromptServices, _GeventSelectorIOServicesAdapter):  # type: ignore[misc]
    """Prompt writes, with gevent's resolver."""


class _JoinedGeventConnection(GeventConnection):  # type: ignore[misc]
    """Sends the frames of a message as one piece, too."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames((b"".join(marshaled_frames),))
