"""Cancel and retry from the console: the same operations as the API's."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from dtqs.config import RabbitmqSection, load
from dtqs.console.actions import Actions
from dtqs.settlement import Kind
from dtqs.task import OutputFile
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World
from tests.support.source import ROOT

OWNER = uuid7()
PRESET = "upload:00000000-0000-7000-8000-00000000000a"


@pytest.fixture
def actions(world: World, amqp_url: str) -> Iterator[Actions]:
    presets = orjson.dumps({"branded": {"format": "mp4", "watermark": {"source": PRESET}}}).decode()
    environ = {"DTQS_PROCESSOR_VIDEO_PRESETS": presets, "DTQS_LIMITS_MAX_RETRIES": "3"}
    config = load(ROOT / "conf" / "dtqs.ini", environ)
    broker = RabbitmqSection(url=SecretStr(amqp_url))
    made = Actions(world.store, dataclasses.replace(config, rabbitmq=broker), "the test's console", "node")
    yield made
    made.close()


def upload(world: World, uri: str | None = None) -> str:
    """Insert an upload whose retention is almost over."""
    file_id = (uri or f"upload:{uuid7()}").removeprefix("upload:")
    world.store.files.insert(OutputFile(file_id, "x", "text/plain", 1, "ab"), OWNER)
    world.rows("UPDATE files SET kept_from = now() - interval '6.9 days' WHERE id = %s RETURNING 1", file_id)
    return f"upload:{file_id}"


def failed(world: World, payload: object, task_type: str, **fields: Any) -> str:
    text = orjson.dumps(payload).decode()
    (task,) = world.submit(payload=text, task_type=task_type, submitted_by=OWNER, **fields)
    world.run([task], Kind.FAILED)
    return task


def image(source: str) -> dict[str, object]:
    return {"source": source, "outputs": [{"name": "a", "format": "png"}]}


def test_a_retry_from_the_console_keeps_the_upload(world: World, actions: Actions) -> None:
    source, other = upload(world), upload(world)
    notice = actions.act("retry", task := failed(world, image(source), "image"))
    new_id = notice.removeprefix("submitted again as ")
    assert world.store.reads.task(new_id).retry_of == task
    assert world.store.housekeeping.expire_files(0.1, 100) == [other.removeprefix("upload:")]
    assert actions.act("retry", task) == f"already retried as {new_id}"


def test_a_retry_from_the_console_keeps_an_upload_that_only_a_preset_names(world: World, actions: Actions) -> None:
    source, _ = upload(world), upload(world, PRESET)
    task = failed(world, {"source": source, "outputs": [{"name": "a", "preset": "branded"}]}, "video")
    assert actions.act("retry", task).startswith("submitted again")
    assert world.store.housekeeping.expire_files(0.1, 100) == []


def test_a_retry_from_the_console_is_refused_when_the_upload_is_gone(world: World, actions: Actions) -> None:
    source = f"upload:{uuid7()}"
    notice = actions.act("retry", failed(world, image(source), "image"))
    assert notice.startswith("retry: ")
    assert f"there is no file {source}" in notice
    assert world.value("SELECT count(*) FROM tasks") == 1


def test_a_retry_from_the_console_is_within_the_limits(world: World, actions: Actions) -> None:
    task = failed(world, {}, "echo", max_retries=9)
    new_id = actions.act("retry", task).removeprefix("submitted again as ")
    assert world.store.reads.task(new_id).max_retries == 3


def test_a_cancel_from_the_console_ends_a_pending_task_once(world: World, actions: Actions) -> None:
    (task,) = world.submit()
    assert actions.act("cancel", task) == f"cancelled {task}"
    assert actions.act("cancel", task) == "not cancelled: the task is already cancelled"
