"""The page /metrics of an API process: one reading a second at most."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from dtqs.broker.look_link import BrokerLook
from dtqs.errors import StoreUnavailable
from dtqs.metrics.families import families
from dtqs.routes import NO_ROUTES, Routes
from dtqs.store import Store
from dtqs.store.measures import Measured, Measures

KEPT_SECONDS = 1.0
"""How long a reading is shown again. Rows change at heartbeats only, so a younger one would say the same."""
TURN_SECONDS = 10.0
"""Time limit of the wait for another scrape, which has limits of its own."""
LIMIT_SECONDS = 2.0
"""Time limit of one answer of PostgreSQL. A server that does not even answer the first statement counts as away."""
_PRESENT_SECONDS = 60.0
"""A process that has written nothing for longer is gone, or has waited for PostgreSQL."""
_OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
_VERSION = re.compile(r"application/openmetrics-text; version=[^;]*")


class Crowded(Exception):
    """Other scrapes have not ended in time."""


class MetricsPage:
    """Reads through a connection of its own, opened by the first scrape. `close` may be called twice.

    `pause` runs between two families, so that a long page holds no loop.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        look: Callable[[], BrokerLook | None],
        task_types: Collection[str],
        pause: Callable[[], None] = lambda: None,
        routes: Routes = NO_ROUTES,
    ) -> None:
        self._database = store.database.another(name, LIMIT_SECONDS)
        lease, beat = store.lease_section, store.lease_section.heartbeat_seconds
        present = max(_PRESENT_SECONDS, 3 * beat)
        self._measures = Measures(self._database, 3 * beat + 1, present, lease.far_out_seconds)
        self._look, self._task_types, self._pause = look, task_types, pause
        self._routes = routes
        self._turn = threading.Lock()
        self._read_at = float("-inf")
        self._pages: dict[str, bytes] = {}
        self._families: tuple[Metric, ...] = ()

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its media type. Raises Crowded."""
        encode, media_type = encoder_for(accept)
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise Crowded
        try:
            if time.monotonic() - self._read_at > KEPT_SECONDS:
                self._families, self._pages = self._read(), {}
                self._read_at = time.monotonic()
            if media_type not in self._pages:
                self._pages[media_type] = encode(Paced(self._families, self._pause))
            return self._pages[media_type], media_type
        finally:
            self._turn.release()

    def close(self) -> None:
        self._database.stop()

    def _read(self) -> tuple[Metric, ...]:
        self._database.start()
        measured: Measured | None = None
        with contextlib.suppress(StoreUnavailable):  # dtqs_database_up or dtqs_reading_age_seconds says so
            measured = self._measures.read()
        began = time.monotonic()
        look = self._look()
        seconds, answered = time.monotonic() - began, self._measures.answered
        return tuple(families(measured, look, self._task_types, seconds, self._routes, answered))


class Paced:
    """Families as an encoder takes them, with a pause before each."""

    def __init__(self, found: Iterable[Metric], pause: Callable[[], None] = lambda: None) -> None:
        self._found, self._pause = found, pause

    def collect(self) -> Iterator[Metric]:
        for family in self._found:
            self._pause()
            yield family


def encoder_for(accept: str) -> tuple[Callable[[Paced], bytes], str]:
    """Return the encoder and the media type for an Accept header: plain text for a version that is no number.

    Each media type has a page of its own, so an invented version of OpenMetrics gets the one that exists.
    """
    try:
        encode, media_type = choose_encoder(accept)
    except TypeError:  # prometheus_client compares the text of `version=x` with a number
        return choose_encoder("")
    known = _VERSION.sub(_OPEN_METRICS, media_type)
    return (encode, media_type) if known == media_type else choose_encoder(known)
