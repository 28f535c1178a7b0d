"""Bodies that cost more than their bytes."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.http.body import HOLDER, RESPONSE, pieces, read_body
from dtqs.api.http.byte_room import ByteRoom
from dtqs.api.server.waiting import RequestWaits
from dtqs.errors import BodiesFull

LIMIT = 4 << 20
Read = Callable[[falcon.Request], bytes]


class Chunked:
    """A chunked body, and the connection that it comes from. `framing` is the number of bytes around each of it."""

    def __init__(self, length: int, framing: int) -> None:
        self._left, self._framing, self.body_bytes = length, framing, 0

    def gettimeout(self) -> float:
        return 30.0

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        self.body_bytes += size * (1 + self._framing)
        return b"x" * size


def request(body: Chunked) -> falcon.Request:
    environ: dict[str, Any] = create_environ("/submit", method="POST", headers={"Transfer-Encoding": "chunked"})
    return falcon.Request(environ | {"wsgi.input": body, "gunicorn.socket": body})


@pytest.mark.parametrize("read", [lambda req: read_body(req, LIMIT), lambda req: b"".join(pieces(req, LIMIT))])
def test_a_body_of_tiny_chunks_is_refused_soon(read: Read) -> None:
    body = Chunked(LIMIT, framing=5)
    with pytest.raises(falcon.HTTPBadRequest) as refused:
        read(request(body))
    assert "chunks are too small" in str(refused.value.description)
    assert body.body_bytes < LIMIT / 2
    # a short body is welcome in any form, and a long one in chunks of some bytes
    assert len(read(request(Chunked(10_000, framing=5)))) == 10_000
    assert len(read(request(Chunked(LIMIT, framing=2)))) == LIMIT


class Stalled:
    """A body that stops after `come` bytes: the next read waits until `on_wait` raises."""

    body_bytes = 0
    is_cut = False

    def __init__(self, come: int, on_wait: Callable[[], None]) -> None:
        self._left, self._on_wait = come, on_wait
        self.waits = RequestWaits(lambda: 30.0, 100)

    def cut(self) -> None:
        self.is_cut = True

    def gettimeout(self) -> float:
        return 30.0

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        if not size:
            self._on_wait()
        self._left -= size
        return b"x" * size


@pytest.mark.parametrize("come", [0, 16 << 10, 100 << 10, 1 << 20])
def test_a_body_holds_room_for_the_bytes_that_have_come_not_for_the_announced_ones(come: int) -> None:
    room = ByteRoom(LIMIT, BodiesFull)
    share = room.share("slow")

    def waits() -> None:
        assert share.held_bytes <= come + min(come, 64 << 10)
        assert share.held_bytes >= come or come <= 16 << 10
        raise TimeoutError

    environ = create_environ("/submit", method="POST", headers={"Content-Length": str(LIMIT)})
    body: Any = Stalled(come, waits)
    req = falcon.Request(environ | {"wsgi.input": body, "gunicorn.socket": body})
    with pytest.raises(falcon.HTTPError) as late:
        read_body(req, LIMIT, share.cover)
    assert late.value.status == falcon.HTTP_408


def test_a_body_that_grows_beyond_the_room_is_refused_while_it_comes() -> None:
    room = ByteRoom(LIMIT, BodiesFull)
    others = room.share("same key")
    others.cover(room.most_bytes // 2 - (1 << 20))
    share = room.share("same key")
    environ = create_environ("/submit", method="POST", headers={"Content-Length": str(LIMIT)})
    body: Any = Stalled(LIMIT, lambda: None)
    with pytest.raises(BodiesFull):
        read_body(falcon.Request(environ | {"wsgi.input": body, "gunicorn.socket": body}), LIMIT, share.cover)
    assert share.held_bytes <= 1 << 20


@pytest.mark.parametrize("read", [lambda req: read_body(req, LIMIT), lambda req: b"".join(pieces(req, LIMIT))])
@pytest.mark.parametrize("key", ["", "greedy"])
def test_a_body_may_be_ended_for_others_while_it_comes(read: Read, key: str) -> None:
    def waits() -> None:
        assert body.waits._end_one()
        assert body.is_cut
        raise OSError("its reading was ended")

    environ = create_environ("/submit", method="POST", headers={"Content-Length": str(LIMIT)}) | {HOLDER: key}
    body: Any = Stalled(100, waits)
    body.waits.body_begins(Stalled(0, waits), "greedy")
    with pytest.raises(falcon.HTTPServiceUnavailable):
        read(falcon.Request(environ | {"wsgi.input": body, "gunicorn.socket": body}))
    assert not body.waits._end_one(), "the last body of the key stays, and this one is forgotten"


@pytest.mark.parametrize("read", [lambda req: read_body(req, LIMIT), lambda req: b"".join(pieces(req, LIMIT))])
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_connection_that_was_ended_for_others_is_not_kept_after_a_whole_body(read: Read, is_cut: bool) -> None:
    environ = create_environ("/submit", method="POST", headers={"Content-Length": "100"})
    body, response = Stalled(100, lambda: None), Mock()
    body.is_cut = is_cut
    environ |= {"wsgi.input": body, "gunicorn.socket": body, RESPONSE: response}
    assert read(falcon.Request(environ)) == b"x" * 100
    assert response.force_close.called == is_cut


def test_the_pieces_of_an_upload_need_room_from_the_second_one_on() -> None:
    asked: list[int] = []

    def room(size: int) -> int:
        asked.append(size)
        return 1 << 16

    incoming: Any = Stalled(1 << 18, lambda: None)
    environ = create_environ("/files", method="POST", headers={"Content-Length": str(1 << 18)})
    whole = pieces(falcon.Request(environ | {"wsgi.input": incoming, "gunicorn.socket": incoming}), LIMIT, room)
    assert (len(next(whole)), asked) == (16 << 10, [])
    assert [len(piece) for piece in whole] == [1 << 16, 1 << 16, 1 << 16, 48 << 10]
    assert set(asked) == {1 << 20}
