"""A submit that follows its tasks, without a database: what its request keeps while it lasts."""

from typing import Any, cast

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.http.body import ArrivedBody, read_body
from dtqs.api.stream.following import FollowedSubmit, Wish
from dtqs.config import ApiSection

NOTHING = cast(Any, None)


@pytest.mark.parametrize("wish", [Wish(None), Wish(9)], ids=["stream", "wait"])
def test_a_followed_submit_keeps_no_body(wish: Wish) -> None:
    environ = create_environ("/submit", method="POST", headers={"Content-Length": "60000"})
    incoming = environ["wsgi.input"] = ArrivedBody(b"x" * 60_000)
    req, resp = falcon.Request(environ), falcon.Response()
    assert len(read_body(req, 1 << 20)) == 60_000
    FollowedSubmit(NOTHING, NOTHING, req, wish, ApiSection()).answer(resp, ["t"], are_new=True)
    assert incoming.getbuffer().nbytes == 0
