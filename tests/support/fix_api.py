"""Fixtures of the API's tests: a system that the tests of one file share, API keys, and a reader of streams."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import orjson
import pytest

from dtqs.store import Store
from dtqs.store.api_keys import Ceilings
from tests.support.fix_system import System
from tests.support.helpers import eventually
from tests.support.outside import OUTSIDE


def _lifetime(fixture_name: str, config: pytest.Config) -> Literal["session", "module"]:
    """A start costs five seconds of processor time, so a cell of bin/test-matrix makes only one."""
    return "session" if OUTSIDE.cell else "module"


@pytest.fixture(scope=_lifetime)
def shared(tmp_path_factory: pytest.TempPathFactory, new_dsn: Callable[[], str], vhosts: Any) -> Iterator[System]:
    """A running system for all tests of a file. A test must not stop a part of it or assume that it is alone."""
    url = vhosts.make()
    one = System(tmp_path_factory.mktemp("shared") / "system", new_dsn(), url, {"pool:default": {"workers": 1}})
    try:
        one.start_supervisor()
        one.start_api()
        yield one
    finally:
        one.stop()
        vhosts.delete(url)


@contextmanager
def open_store(system: System) -> Iterator[Store]:
    """Open the system's store, for actions that no request offers."""
    store = Store(system.config.postgresql, system.config.lease, size=1, name="tests")
    store.start()
    try:
        yield store
    finally:
        store.stop()


NewKey = Callable[..., httpx.Client]


@pytest.fixture
def new_key(shared: System) -> Iterator[NewKey]:
    """Make another key of the shared system, `new_key(name, *scopes, **ceilings)`, and return a client with it."""
    clients: list[httpx.Client] = []

    def make(name: str, *scopes: str, **ceilings: Any) -> httpx.Client:
        with open_store(shared) as store:
            secret = store.api_keys.create(name, scopes, Ceilings(**ceilings))[1]
        clients.append(httpx.Client(base_url=shared.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@dataclass(frozen=True, slots=True)
class Received:
    """One event of a stream."""

    event: str
    id: str
    data: dict[str, Any]


class Reader:
    """Reads a stream in its own thread until the stream ends."""

    def __init__(self, client: httpx.Client, url: str, headers: dict[str, str] | None = None) -> None:
        self.events: list[Received] = []
        self.text, self.status, self.headers = "", 0, httpx.Headers()
        self._client, self._url, self._own_headers = client, url, headers or {}
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def names(self) -> list[str]:
        return [one.event for one in self.events]

    def wait_end(self, seconds: float = 15.0) -> "Reader":
        self._thread.join(seconds)
        assert self.ended, f"the stream goes on; so far: {self.text[-500:]}"
        return self

    def wait_for(self, event: str, seconds: float = 15.0) -> Received:
        """Wait for the first event of this name."""
        return (
            eventually(
                lambda: next((one for one in self.events if one.event == event), None), seconds, f"event {event}"
            )
            or self.events[0]
        )

    def _run(self) -> None:
        try:
            with self._client.stream("GET", self._url, headers=self._own_headers, timeout=30) as response:
                self.status, self.headers = response.status_code, response.headers
                for piece in response.iter_text():
                    self.text += piece
                    self.events = parse(self.text)
        except httpx.TransportError as error:
            self.text += f"\n[{error!r}]"


def parse(text: str) -> list[Received]:
    """Return the complete events in a stream's text."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append(Received(fields["event"], fields["id"], orjson.loads(fields["data"])))
    return found


def watch(client: httpx.Client, task_ids: Sequence[str], last_event_id: str = "") -> Reader:
    """Follow tasks in one stream."""
    query = "&".join(f"task_id={task_id}" for task_id in task_ids)
    return Reader(client, f"/sse?{query}", {"Last-Event-ID": last_event_id} if last_event_id else None)
