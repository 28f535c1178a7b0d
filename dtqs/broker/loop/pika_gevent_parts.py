"""The private parts of pika on gevent's loop. Only API processes load it: gevent costs the others 5 MB."""

import gevent
from pika.adapters.gevent_connection import (
    GeventConnection,
    _GeventSelectorIOLoop,
    _GeventSelectorIOServicesAdapter,
)
from pika.connection import Connection, Parameters

from dtqs.broker.loop.pika_parts import Ended, Opened, PromptServices, WholeMessages, when_open


def open_gevent_connection(to: Parameters, opened: Opened, failed: Ended, closed: Ended) -> Connection:
    """Open a connection on gevent's loop."""
    services = _PromptGeventServices(_GeventSelectorIOLoop(gevent.get_hub()))
    return _GeventConnection(to, when_open(services, opened), failed, closed, custom_ioloop=services)


class _PromptGeventServices(PromptServices, _GeventSelectorIOServicesAdapter):  # type: ignore[misc]
    """Prompt writes, with gevent's resolver."""


class _GeventConnection(WholeMessages, GeventConnection):  # type: ignore[misc]
    """A connection on gevent's loop."""
