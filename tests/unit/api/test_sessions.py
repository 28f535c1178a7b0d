"""Sessions of browsers: the key of a cookie, and how long it is valid."""

import time

import falcon
import gevent
import pytest
from falcon.testing import create_environ

from dtqs.api.access.sessions import COOKIE, SECURE_COOKIE, Sessions
from dtqs.api.access.tickets import Tickets
from dtqs.store.api_keys import ApiKey
from dtqs.uuid7 import uuid7

KEY = ApiKey(uuid7(), "ada", ("read",))
SIGNING_KEY = b"k" * 32


def sessions(found: ApiKey | None = KEY, valid_seconds: float = 60) -> Sessions:
    return Sessions(
        SIGNING_KEY, lambda key_id, _: found if key_id == KEY.key_id else None, lambda *_: None, valid_seconds
    )


def request(cookie: str) -> falcon.Request:
    return falcon.Request(create_environ(headers={"Cookie": f"{COOKIE}={cookie}"}))


def test_a_session_has_its_key_until_it_expires() -> None:
    cookie, expires_at = sessions().begin(KEY.key_id)
    session = sessions().of(request(cookie))
    assert session
    assert session.key == KEY
    assert session.expires_at == expires_at == pytest.approx(time.time() + 60, abs=2)


def test_an_expired_session_has_no_key() -> None:
    assert sessions().of(request(sessions(valid_seconds=-1).begin(KEY.key_id)[0])) is None


def test_a_session_of_a_revoked_key_has_no_key() -> None:
    assert sessions(None).of(request(sessions().begin(KEY.key_id)[0])) is None


def test_a_session_signed_with_another_secret_has_no_key() -> None:
    other = Sessions(b"o" * 32, lambda *_: KEY, lambda *_: None, 60)
    assert sessions().of(request(other.begin(KEY.key_id)[0])) is None


def test_an_ended_session_stays_ended_for_a_copy_of_its_cookie() -> None:
    ended: set[str] = set()
    known = Sessions(
        SIGNING_KEY,
        lambda _, session_id: None if session_id in ended else KEY,
        lambda session_id, _: ended.add(session_id),
        60,
    )
    first, second = request(known.begin(KEY.key_id)[0]), request(known.begin(KEY.key_id)[0])
    assert known.of(first)
    known.end(first)
    assert known.of(first) is None
    other_process = Sessions(
        SIGNING_KEY, lambda _, session_id: None if session_id in ended else KEY, lambda *_: None, 60
    )
    assert other_process.of(first) is None
    assert other_process.of(second)


@pytest.mark.parametrize("secure", [True, False])
def test_over_tls_only_the_cookie_of_this_host_counts(secure: bool) -> None:
    cookie = sessions().begin(KEY.key_id)[0]
    headers = {"X-Forwarded-Proto": "https"} if secure else {}
    found = {
        name: sessions().of(falcon.Request(create_environ(headers=headers | {"Cookie": f"{name}={cookie}"})))
        is not None
        for name in (COOKIE, SECURE_COOKIE)
    }
    assert found == {COOKIE: not secure, SECURE_COOKIE: secure}


def test_a_ticket_is_no_session_and_a_session_no_ticket() -> None:
    tickets = Tickets(SIGNING_KEY, 60)
    assert sessions().of(request(tickets.sign(KEY.key_id, KEY.key_id))) is None
    with pytest.raises(falcon.HTTPUnauthorized):
        tickets.open(sessions().begin(KEY.key_id)[0])


@pytest.mark.parametrize("around", ["{}", "a=b; {}", "{}; a=b", ' x="\\a" ;{} ', "=; ;{};;"])
def test_the_cookie_is_found_among_others(around: str) -> None:
    cookie, _ = sessions().begin(KEY.key_id)
    for value in (cookie, f'"{cookie}"'):
        header = around.format(f"{COOKIE}={value}")
        assert sessions().of(falcon.Request(create_environ(headers={"Cookie": header}))), header
    assert not sessions().has_cookie(falcon.Request(create_environ(headers={"Cookie": around.format(f"x{COOKIE}=1")})))


def test_requests_of_a_session_share_one_look_up() -> None:
    asked: list[str] = []

    def find(key_id: str, _: str) -> ApiKey:
        asked.append(key_id)
        gevent.sleep(0.01)
        return KEY

    known = Sessions(SIGNING_KEY, find, lambda *_: None, 60)
    cookie = known.begin(KEY.key_id)[0]
    callers = [gevent.spawn(known.of, request(cookie)) for _ in range(50)]
    gevent.joinall(callers, 10, raise_error=True)
    assert all(one.value is not None and one.value.key == KEY for one in callers)
    assert asked == [KEY.key_id]
