"""Large answers that wait for their clients: a key with too many gets no more, and an answer to a write is given."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import falcon
import pytest
from falcon.testing import StartResponseMock, create_environ

from dtqs.api.files.downloads import Pieces
from dtqs.api.http import problems
from dtqs.api.http.body import HOLDER
from dtqs.api.http.byte_room import MOST_BYTES, SMALL_BYTES, ByteRoom
from dtqs.api.http.disk import FileThreads
from dtqs.api.http.held_answers import HeldAnswers
from dtqs.api.submit.resource import Submit
from dtqs.api.submit.task_links import Links
from dtqs.api.submit.turns import Turns
from dtqs.api.tasks.resources import Cancel, TaskResource
from dtqs.errors import AnswersFull, StoreUnavailable
from dtqs.task import NewTask, TaskRecord, task_record
from dtqs.uuid7 import uuid7

SHARED = FileThreads()
"""Shared by all tests: threads stay, and a dump of stacks has room for a hundred."""

HALF = MOST_BYTES // 2
LARGE = b"x" * (1 << 20)


class Resource:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if key := req.get_header("Key"):
            req.env[HOLDER] = key
        resp.data = LARGE if req.path == "/large" else b"x" * SMALL_BYTES

    on_post = on_head = on_get


class Api:
    """An application with large and small answers. It is asked as a server asks it."""

    def __init__(self) -> None:
        self.room = ByteRoom(1 << 20, AnswersFull)
        self.app: Any = falcon.App(middleware=[HeldAnswers(self.room)])
        problems.add_handlers(self.app)
        for path in ("/large", "/small"):
            self.app.add_route(path, Resource())

    def ask(self, key: str, path: str = "/large", method: str = "GET") -> tuple[StartResponseMock, Iterable[bytes]]:
        started = StartResponseMock()
        return started, self.app(create_environ(path, method=method, headers={"Key": key}), started)


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_answer_holds_room_until_it_is_sent(api: Api) -> None:
    started, body = api.ask("one")
    assert started.status == "200 OK"
    assert started.headers_dict["content-length"] == str(len(LARGE))
    assert not api.room.has_room("one", HALF)
    assert b"".join(body) == LARGE
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert api.room.has_room("one", HALF)


def test_an_answer_without_a_body_holds_no_room(api: Api) -> None:
    started, _ = api.ask("one", method="HEAD")
    assert started.headers_dict["content-length"] == str(len(LARGE))
    assert api.room.has_room("one", HALF)


def test_a_key_with_half_of_the_room_gets_503_and_others_are_served(api: Api) -> None:
    held = [api.ask("greedy") for _ in range(HALF // len(LARGE))]
    assert all(started.status == "200 OK" for started, _ in held)
    refused, body = api.ask("greedy")
    assert str(refused.status).startswith("503 ")
    assert refused.headers_dict["retry-after"]
    assert b"large answers" in b"".join(body)
    assert api.ask("greedy", "/small")[0].status == "200 OK"
    assert api.ask("modest")[0].status == "200 OK"
    assert api.ask("")[0].status == "200 OK", "the dashboard's files are the same bytes for all"
    held[0][1].close()  # type: ignore[attr-defined]
    assert api.ask("greedy")[0].status == "200 OK"


def test_an_answer_to_a_write_is_given_and_the_next_write_is_refused_before_its_effect(api: Api) -> None:
    for _ in range(HALF // len(LARGE)):
        api.ask("greedy")
    api.room.require("greedy")
    started, body = api.ask("greedy", method="POST")
    assert started.status == "200 OK"
    with pytest.raises(AnswersFull):
        api.room.require("greedy")
    api.room.require("modest")
    body.close()  # type: ignore[attr-defined]
    api.room.require("greedy")


class Stored:
    over_network = True
    closed = False

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return b"x" * size

    def close(self) -> None:
        self.closed = True


def test_a_download_without_room_has_small_pieces() -> None:
    room = ByteRoom(1 << 20, AnswersFull)
    stored: Any = Stored()
    pieces = Pieces(stored, 3 << 20, room.share("one"), SHARED)
    next(pieces)
    assert not room.has_room("one", HALF)
    full = room.share("one")
    full.cover(HALF - (1 << 20))
    other = Pieces(stored, 3 << 20, room.share("one"), SHARED)
    next(other)
    assert stored.sizes == [1 << 20, SMALL_BYTES]
    for each in (pieces, other):
        each.close()
    full.free()
    assert room.has_room("one", HALF)


def record_of(task_id: str, payload: Any) -> TaskRecord:
    columns = [
        task_id,
        "echo",
        "cancelled",
        5,
        0,
        5,
        payload,
        None,
        None,
        [],
        None,
        None,
        "",
        None,
        None,
        "",
        None,
        None,
    ]
    return task_record(columns)


class Tasks:
    """Tasks with a payload of a megabyte, which a cancel ends."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.failures = self.reads = 0

    def small(self, task_id: str, owner: str | None) -> None:
        return None

    def size(self, task_id: str, owner: str | None) -> int:
        return len(LARGE)

    def existing(self, task_ids: list[str], owner: str | None) -> set[str]:
        return set(task_ids)

    def task(self, task_id: str, owner: str | None) -> TaskRecord:
        self.reads += 1
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no connection within 5 s")
        return record_of(task_id, LARGE.decode())

    def cancel(self, task_id: str) -> SimpleNamespace:
        self.cancelled.append(task_id)
        return SimpleNamespace(ended=True)


def require(req: falcon.Request, _: str) -> SimpleNamespace:
    req.env[HOLDER] = "greedy"
    return SimpleNamespace(name_space="greedy", owner=None, ceilings=None, key_id=None)


@pytest.fixture
def tasks(api: Api) -> Tasks:
    """Serve tasks and cancels. Their check before all others has passed: no answer is held yet when they begin."""
    tasks, auth = Tasks(), SimpleNamespace(require=require)
    cancel = Cancel(*cast(Any, (auth, tasks, tasks, Turns(1, 1 << 20, 4), api.room)))
    api.app.add_route("/tasks/{task_id}/cancel", cancel)
    api.app.add_route("/tasks/{task_id}", TaskResource(*cast(Any, (auth, tasks, Turns(1, 1 << 20, 4), api.room))))
    return tasks


def test_a_large_task_without_room_for_its_answer_is_not_read(api: Api, tasks: Tasks) -> None:
    asked = [api.ask("greedy", f"/tasks/{uuid7()}") for _ in range(HALF // len(LARGE) + 5)]
    assert [str(started.status)[:3] for started, _ in asked] == ["200"] * tasks.reads + ["503"] * 6
    for _, body in asked[: tasks.reads]:
        body.close()  # type: ignore[attr-defined]
    assert api.room.has_room("greedy", HALF)
    tasks.failures = 1
    assert str(api.ask("greedy", f"/tasks/{uuid7()}")[0].status).startswith("503 ")
    assert api.room.has_room("greedy", HALF)


def test_a_cancel_without_room_for_its_answer_is_refused_before_its_effect(api: Api, tasks: Tasks) -> None:
    paths = [f"/tasks/{uuid7()}/cancel" for _ in range(HALF // len(LARGE) + 5)]
    asked = [api.ask("greedy", path, "POST") for path in paths]
    assert [str(started.status)[:3] for started, _ in asked] == ["200"] * len(tasks.cancelled) + ["503"] * 6
    assert not api.room.has_room("greedy", len(LARGE))
    for _, body in asked[: len(tasks.cancelled)]:
        body.close()  # type: ignore[attr-defined]
    assert api.room.has_room("greedy", HALF)


def test_a_cancel_whose_task_cannot_be_read_at_once_is_answered(api: Api, tasks: Tasks) -> None:
    tasks.failures = 1
    started, body = api.ask("greedy", f"/tasks/{uuid7()}/cancel", "POST")
    assert started.status == "200 OK"
    body.close()  # type: ignore[attr-defined]
    tasks.failures = 2
    assert str(api.ask("greedy", f"/tasks/{uuid7()}/cancel", "POST")[0].status).startswith("503 ")
    assert api.room.has_room("greedy", HALF)


def test_an_array_without_room_for_its_answer_is_refused_before_it_is_stored(api: Api) -> None:
    tasks = [NewTask(uuid7(), "echo", True, "{}") for _ in range(1000)]
    stored: list[int] = []
    judged = SimpleNamespace(examined=tasks, many=True, body_hash=b"")
    parts = [
        SimpleNamespace(require=require), SimpleNamespace(judge=lambda _: judged),
        SimpleNamespace(complete=lambda *_: tasks), None, None, None, SimpleNamespace(stored=lambda *_: None),
        Links("", None), SimpleNamespace(insert=lambda given: stored.append(len(given))), None,
        SimpleNamespace(begin=lambda *_: None),
    ]  # fmt: skip
    api.app.add_route("/submit", Submit(*cast(Any, [*parts, 1 << 20, 24.0, 4, 1.0, api.room])))
    room_of_others = api.room.share("greedy")
    room_of_others.cover(HALF - (1 << 20))
    asked = [api.ask("greedy", "/submit", "POST") for _ in range(8)]
    served = len(stored)
    assert 2 <= served <= 4
    assert [str(started.status)[:3] for started, _ in asked] == ["202"] * served + ["503"] * (8 - served)
    room_of_others.free()
    for _, body in asked[:served]:
        body.close()  # type: ignore[attr-defined]
    assert api.room.has_room("greedy", HALF)
