"""Sessions of browsers: what a cookie is good for, and for how long."""

import time

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.sessions import COOKIE, Sessions
from dtqs.api.tickets import Tickets
from dtqs.store.api_keys import ApiKey
from dtqs.uuid7 import uuid7

KEY = ApiKey(uuid7(), "ada", ("read",))
SIGNING_KEY = b"k" * 32


def sessions(found: ApiKey | None = KEY, valid_seconds: float = 60) -> Sessions:
    return Sessions(lambda: SIGNING_KEY, lambda key_id: found if key_id == KEY.key_id else None, valid_seconds)


def request(cookie: str) -> falcon.Request:
    return falcon.Request(create_environ(headers={"Cookie": f"{COOKIE}={cookie}"}))


def test_a_session_is_its_keys_until_it_ends() -> None:
    cookie, expires_at = sessions().begin(KEY.key_id)
    session = sessions().of(request(cookie))
    assert session
    assert session.key == KEY
    assert session.expires_at == expires_at == pytest.approx(time.time() + 60, abs=2)


def test_one_that_is_over_is_none() -> None:
    assert sessions().of(request(sessions(valid_seconds=-1).begin(KEY.key_id)[0])) is None


def test_one_of_a_revoked_key_is_none() -> None:
    assert sessions(None).of(request(sessions().begin(KEY.key_id)[0])) is None


def test_one_that_another_key_signed_is_none() -> None:
    other = Sessions(lambda: b"o" * 32, lambda _: KEY, 60)
    assert sessions().of(request(other.begin(KEY.key_id)[0])) is None


def test_a_ticket_is_no_session_and_a_session_no_ticket() -> None:
    tickets = Tickets(lambda: SIGNING_KEY, 60)
    assert sessions().of(request(tickets.sign(KEY.key_id))) is None
    with pytest.raises(falcon.HTTPUnauthorized):
        tickets.allowed(sessions().begin(KEY.key_id)[0], [KEY.key_id])
