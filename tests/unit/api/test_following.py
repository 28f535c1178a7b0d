"""A submit that follows its tasks, without a database: what its request keeps while it lasts."""

from collections.abc import Callable
from typing import Any, cast

import falcon
import gevent
import pytest
from falcon.testing import create_environ

from dtqs.api.http.body import ArrivedBody, read_body
from dtqs.api.http.byte_room import SMALL_BYTES, ByteRoom
from dtqs.api.stream.client_socket import STALLED_SECONDS, ClientSocket, StreamPace
from dtqs.api.stream.following import FollowedSubmit, Wish
from dtqs.api.stream.frames import StreamFrame
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.position import ENDED
from dtqs.api.stream.resource import Stream
from dtqs.api.stream.watcher import Watcher
from dtqs.config import ApiSection
from dtqs.errors import AnswersFull

NOTHING = cast(Any, None)


class Limited:
    """A connection that notes its time limits."""

    def __init__(self) -> None:
        self.limits: list[float | None] = []

    def settimeout(self, seconds: float | None) -> None:
        self.limits.append(seconds)


@pytest.mark.parametrize("wish", [Wish(None), Wish(9)], ids=["stream", "wait"])
def test_a_followed_submit_keeps_no_body(wish: Wish) -> None:
    environ = create_environ("/submit", method="POST", headers={"Content-Length": "60000"})
    incoming = environ["wsgi.input"] = ArrivedBody(b"x" * 60_000)
    req, resp = falcon.Request(environ), falcon.Response()
    assert len(read_body(req, 1 << 20)) == 60_000
    FollowedSubmit(NOTHING, NOTHING, req, wish, ApiSection(), NOTHING).answer(resp, ["t"], are_new=True)
    assert incoming.getbuffer().nbytes == 0


def test_a_stream_that_follows_nothing_keeps_a_limit_for_its_client() -> None:
    connection = Limited()
    req, resp = falcon.Request(create_environ("/submit", method="POST")), falcon.Response()
    req.env["gunicorn.socket"] = connection
    FollowedSubmit(NOTHING, NOTHING, req, Wish(None), ApiSection(), NOTHING).answer(resp, ["t"], are_new=True)
    assert connection.limits == [STALLED_SECONDS]


def test_each_part_of_a_stream_has_the_whole_time() -> None:
    connection, watcher = Limited(), Watcher({"t": 0})
    stream = Stream(NOTHING, watcher, ClientSocket(connection), ["t"], {}, StreamPace(0.01, 1.0))
    assert next(stream)
    assert next(stream).startswith(b":")
    assert connection.limits == [STALLED_SECONDS] * 2


def waiting(hub: Hub, answers: ByteRoom) -> Callable[[], falcon.Response]:
    """Begin a submit that waits for its task. Return how to get its answer."""
    req, resp = falcon.Request(create_environ("/submit", method="POST")), falcon.Response()
    resp.data = b"[]"
    followed = FollowedSubmit(NOTHING, hub, req, Wish(9), ApiSection(), answers, "key")
    followed.watch(["t", "later"])
    answered = gevent.spawn(followed.answer, resp, ["t", "later"], are_new=True)
    gevent.sleep(0)

    def ended() -> falcon.Response:
        assert hub._registry.finish_all(StreamFrame("later", ENDED, "completed", b'"y"'))
        answered.get(timeout=10)
        return resp

    return ended


@pytest.mark.parametrize("is_full", [False, True])
def test_outcomes_of_a_wait_count_while_it_lasts_and_need_room_among_the_answers(is_full: bool) -> None:
    hub, answers = Hub(NOTHING, 3600), ByteRoom(1 << 20, AnswersFull)
    ended, data, unsent = waiting(hub, answers), b'"%s"' % (b"x" * SMALL_BYTES), hub._registry._unsent
    if is_full:
        answers.share("key").cover(answers.most_bytes // 2)
    assert hub._registry.finish_all(StreamFrame("t", ENDED, "completed", data))
    (watcher,) = hub._registry._all
    with gevent.Timeout(10):
        while watcher.queue:
            gevent.sleep(0)
    assert unsent.size_bytes == len(data)
    assert ended().data == (b"[]" if is_full else b'[%s,"y"]' % data)
    assert unsent.size_bytes == 0
