"""Bodies that cost more than their bytes."""

from collections.abc import Callable
from typing import Any

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.http.body import pieces, read_body

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
