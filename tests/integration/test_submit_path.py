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
