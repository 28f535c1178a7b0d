"""Bounds the bytes of large answers that wait for their clients, in one process. A key with too many gets 503.

An answer to a request that writes is never refused, since its effect has happened. A request with a large answer holds
room for it before its effect, or before it reads. A key that holds too much may write no more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import falcon

from dtqs.api.http.body import ANSWER_PIECE_BYTES, HOLDER
from dtqs.api.http.byte_room import SMALL_BYTES, ByteRoom, ByteShare

_SHARE = "dtqs.answer_share"
"""Place in the WSGI environment: the room that a request holds for its answer."""


def hold_answer(req: falcon.Request, room: ByteRoom, least_bytes: int) -> None:
    """Hold room for a large answer before the request's effect or read, until the answer is sent. Raises AnswersFull.

    `least_bytes`: the answer is not shorter. Without an answer, `free_answer` gives the room back.
    """
    share = room.share(req.env.get(HOLDER) or "")
    share.cover(least_bytes)
    req.env[_SHARE] = share


def free_answer(req: falcon.Request) -> None:
    """Give back the room that a request holds for its answer, if any."""
    share: ByteShare | None = req.env.pop(_SHARE, None)
    if share is not None:
        share.free()


@contextmanager
def holding_answer(req: falcon.Request, resp: falcon.Response, room: ByteRoom, least_bytes: int) -> Iterator[None]:
    """Hold room for a large answer, which the block makes. Raises AnswersFull before the block."""
    hold_answer(req, room, least_bytes)
    try:
        yield
        if len(resp.data or b"") <= SMALL_BYTES:
            free_answer(req)
    except BaseException:
        free_answer(req)
        raise


class HeldAnswers:
    """The middleware of falcon that counts large answers until they are sent."""

    def __init__(self, room: ByteRoom) -> None:
        self._room = room

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Raises AnswersFull, to which falcon answers."""
        data = resp.data
        if data is None or len(data) <= SMALL_BYTES:
            return
        key = req.env.get(HOLDER)  # answers for anybody are the same bytes for all clients
        if key is None or req.method == "HEAD":
            return
        held: ByteShare | None = req.env.pop(_SHARE, None)
        share = held or self._room.share(key)
        if req.method == "GET" and held is None:
            share.cover(len(data))
        else:
            share.cover_anyway(len(data))
        resp.data, resp.stream, resp.content_length = None, HeldAnswer(data, share), len(data)


class HeldAnswer:
    """An answer in pieces. `close` gives its room back."""

    def __init__(self, whole: bytes, share: ByteShare) -> None:
        self._whole, self._share, self._at = whole, share, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._whole[self._at : self._at + ANSWER_PIECE_BYTES]
        if not piece:
            raise StopIteration
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Give the room back. The server calls it however the answer ends. Safe to call twice."""
        self._whole = b""
        self._share.free()
