"""The way of a lone submit from its resource to PostgreSQL's socket: a reader follows it, so it stays short."""

import gc
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import TestClient

import dtqs
from dtqs.api.http.byte_room import SMALL_BYTES, ByteShare
from dtqs.api.server.app import AppParts, create_app
from dtqs.api.server.wsgi import build
from dtqs.api.stream.following import FollowedSubmit
from dtqs.config import load
from dtqs.processors.catalog import Catalog
from dtqs.store.driver.cooperative import CooperativeConnection
from dtqs.task import NewTask
from tests.support.fix_store import World

SOURCE = str(Path(dtqs.__file__).parent)
MOST_FRAMES = 7


@pytest.fixture
def parts(world: World, tmp_path: Path) -> Iterator[AppParts]:
    """The parts of an API without a broker."""
    ini = tmp_path / "dtqs.ini"
    ini.write_text(
        f"[postgresql]\ndsn = {world.section.dsn.get_secret_value()}\n[rabbitmq]\nurl = amqp://127.0.0.1:1/\n"
    )
    ini.chmod(0o600)
    config = load(ini, {})
    parts = build(config, Catalog.load(config), b"a secret of this test" * 2)
    parts.store.start()
    yield parts
    parts.examiner.stop()  # a large body starts it
    parts.store.stop()


def test_a_lone_submit_passes_seven_functions_of_ours(
    world: World, parts: AppParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = world.store.api_keys.create("ada", ["submit"])
    client = TestClient(create_app(parts), headers={"Authorization": f"Bearer {secret}"})
    ways: list[list[str]] = []
    wait = CooperativeConnection.wait

    def looking(connection: CooperativeConnection, *given: Any, **named: Any) -> Any:
        ways.append([one.function for one in inspect.stack()[1:] if one.filename.startswith(SOURCE)])
        return wait(connection, *given, **named)

    for _ in range(2):  # the first prepares the statement
        ways.clear()
        monkeypatch.setattr(CooperativeConnection, "wait", looking)
        answer = client.simulate_post("/submit", json={"task_type": "echo", "payload": {}})
        monkeypatch.undo()
        assert answer.status_code == 202
    (way,) = [way[: way.index("on_post") + 1] for way in ways if "insert" in way]
    assert way[0] == "run"
    assert len(way) + 1 <= MOST_FRAMES, ["wait", *way]
    assert world.rows("SELECT count(*) FROM backlog") == [(2,)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_submit_that_waits_for_its_outcome_holds_no_payload(
    world: World, parts: AppParts, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    _, secret = world.store.api_keys.create("ada", ["submit"])
    client = TestClient(create_app(parts), headers={"Authorization": f"Bearer {secret}", "Prefer": "wait=9"})
    held: list[list[NewTask]] = []
    note = "a payload of this test" * (SMALL_BYTES // 20 // count)

    def looking(*_: Any, **__: Any) -> None:
        gc.collect()
        assert not any(one.held_bytes for one in gc.get_objects() if isinstance(one, ByteShare))
        held.append([one for one in gc.get_objects() if isinstance(one, NewTask) and note in one.payload])

    monkeypatch.setattr(FollowedSubmit, "answer", looking)
    body = [{"task_type": "echo", "payload": {"note": note}} for _ in range(count)]
    assert client.simulate_post("/submit", json=body if count > 1 else body[0]).status_code == 202
    assert held == [[]]


def test_a_repeated_submit_is_accepted_whatever_its_key_may_do_now(world: World, parts: AppParts) -> None:
    later = {"task_type": "echo", "payload": {}, "priority": 9, "delay_seconds": 3600}
    _, secret = world.store.api_keys.create("ada", ["submit"])
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "one"}
    client = TestClient(create_app(parts), headers=headers)
    first = client.simulate_post("/submit", json=later)
    assert first.status_code == 202
    for column, value in (("max_priority", 5), ("max_pending", 1)):
        world.rows(f"UPDATE api_keys SET {column} = {value} RETURNING 1")
        client = TestClient(create_app(parts), headers=headers)
        again = client.simulate_post("/submit", json=later)
        assert again.status_code == 202, again.text
        assert again.json["task_id"] == first.json["task_id"]
    streamed = client.simulate_post("/submit", json=later, headers={"Prefer": "wait=1"})
    assert streamed.json["task_id"] == first.json["task_id"]
    other = client.simulate_post("/submit", json=later, headers={"Idempotency-Key": "two"})
    assert other.status_code == 403


def test_an_expired_idempotency_key_lets_no_submit_pass_max_pending(world: World, parts: AppParts) -> None:
    later = {"task_type": "echo", "payload": {}, "delay_seconds": 3600}
    _, secret = world.store.api_keys.create("ada", ["submit"])
    world.rows("UPDATE api_keys SET max_pending = 1 RETURNING 1")
    client = TestClient(create_app(parts), headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "one"})
    assert [client.simulate_post("/submit", json=later).status_code for _ in range(2)] == [202, 202]
    world.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1")
    assert client.simulate_post("/submit", json=later).status_code == 429
    assert world.rows("SELECT count(*) FROM tasks") == [(1,)]
