"""A submit that follows its tasks, without a database: what its request keeps while it lasts."""

from typing import Any, cast

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.http.body import ArrivedBody, read_body
from dtqs.api.stream.client_socket import STALLED_SECONDS, ClientSocket, StreamPace
from dtqs.api.stream.following import FollowedSubmit, Wish
from dtqs.api.stream.resource import Stream
from dtqs.api.stream.watcher import Watcher
from dtqs.config import ApiSection

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
