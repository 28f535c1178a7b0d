"""The parts of an API process have the bounds of its configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from falcon.testing import TestClient
from gevent.event import Event

from dtqs.api.access.auth import _NOBODY
from dtqs.api.http.byte_room import MOST_BODIES, ByteRoom
from dtqs.api.server import app
from dtqs.api.server.app import AppParts
from dtqs.api.server.wsgi import build
from dtqs.config import load
from dtqs.errors import NotFound
from dtqs.processors.catalog import Catalog

BODY_BYTES, CONNECTIONS, POOL = 32 << 20, 50, 6
TASK = "01900000-0000-7000-8000-000000000001"


@pytest.fixture
def parts(tmp_path: Path) -> AppParts:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(
        f"[postgresql]\ndsn = postgresql://127.0.0.1:1/none\npool_size = {POOL}\n"
        "[rabbitmq]\nurl = amqp://127.0.0.1:1/\n"
        f"[api]\nauth = off\nmax_body_bytes = {BODY_BYTES}\nmax_connections = {CONNECTIONS}\n"
    )
    ini.chmod(0o600)
    config = load(ini, {})
    return build(config, Catalog.load(config), b"a secret of this test" * 2)


def test_streams_have_bounds_of_bytes_and_connections(parts: AppParts) -> None:
    assert parts.hub._registry._unsent.most_bytes == MOST_BODIES * BODY_BYTES
    assert parts.hub._most == CONNECTIONS * 4 // 5


def slow(used: list[int], go_on: Event) -> Callable[..., Any]:
    """Return a stand-in for a call of the store: it notes itself, waits, and then finds nothing."""

    def call(*_: Any) -> Any:
        used.append(1)
        assert go_on.wait(20)
        raise NotFound("task", TASK)

    return call


@pytest.mark.parametrize(
    ("method", "path", "read"),
    [
        ("GET", "/tasks", "page"),
        ("GET", f"/tasks/{TASK}/logs", "existing"),
        ("GET", f"/sse?task_id={TASK}&task_id={TASK[:-1]}2", "states"),
        ("GET", f"/tasks/{TASK}", "size"),
        ("POST", f"/tasks/{TASK}/cancel", "size"),
        ("POST", f"/tasks/{TASK}/retry", "size"),
    ],
)
def test_reads_of_one_key_leave_half_of_the_pool_to_others(
    parts: AppParts, monkeypatch: pytest.MonkeyPatch, method: str, path: str, read: str
) -> None:
    reading, go_on = list[int](), Event()
    monkeypatch.setattr(parts.store.reads, read, slow(reading, go_on))
    monkeypatch.setattr(parts.store.reads, "small", lambda *_: None)
    client = TestClient(app.create_app(parts), headers={"Host": "127.0.0.1:8080"})
    path, _, query = path.partition("?")
    asking = [gevent.spawn(client.simulate_request, method, path, query_string=query) for _ in range(3 * POOL)]
    gevent.idle()
    assert len(reading) == POOL // 2
    go_on.set()
    gevent.joinall(asking, timeout=20, raise_error=True)
    assert [one.value.status_code for one in asking] == [404] * len(asking)
    assert len(reading) == len(asking)


def test_arrays_and_long_reads_together_leave_a_connection_to_others(
    parts: AppParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, go_on = list[int](), Event()
    monkeypatch.setattr(parts.store.reads, "page", slow(used, go_on))
    monkeypatch.setattr(parts.store.tasks, "insert", slow(used, go_on))
    client = TestClient(app.create_app(parts), headers={"Host": "127.0.0.1:8080"})
    asking = [gevent.spawn(client.simulate_get, "/tasks") for _ in range(POOL)]
    array = [{"task_type": "echo", "payload": {}}] * 2
    asking += [gevent.spawn(client.simulate_post, "/submit", json=array) for _ in range(POOL)]
    with gevent.Timeout(20):
        while len(used) < POOL - 1:
            gevent.sleep(0.001)
    gevent.idle()
    assert len(used) == POOL - 1
    go_on.set()
    gevent.joinall(asking, timeout=20, raise_error=True)
    assert len(used) == len(asking)


def test_a_key_with_too_many_large_answers_may_not_write(parts: AppParts, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[ByteRoom] = []

    def noted(*given: Any) -> ByteRoom:
        rooms.append(ByteRoom(*given))
        return rooms[-1]

    monkeypatch.setattr(app, "ByteRoom", noted)
    client = TestClient(app.create_app(parts), headers={"Host": "127.0.0.1:8080"})
    (answers,) = rooms
    answers.grow(_NOBODY, answers.most_bytes // 2 + 1)
    refused = client.simulate_post("/submit", json={"task_type": "echo"})
    assert refused.status_code == 503
    assert "large answers" in refused.json["detail"]
