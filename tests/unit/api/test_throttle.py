"""Failed keys: how many an address may show, who counts as one, and what a flood may cost."""

from collections.abc import Mapping

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.auth import Auth
from dtqs.api.origin import OwnHosts
from dtqs.api.sessions import Sessions
from dtqs.api.throttle import BURST, Throttle, address_of
from dtqs.errors import TooManyRequests
from dtqs.store.api_keys import ApiKey
from dtqs.uuid7 import uuid7

KEY = ApiKey(uuid7(), "ada", ("read",))


def request(address: str, headers: Mapping[str, str] | None = None) -> falcon.Request:
    return falcon.Request(create_environ(headers=headers) | {"REMOTE_ADDR": address})


def test_after_a_burst_an_address_gets_one_a_second() -> None:
    at = 100.0
    throttle = Throttle(lambda: at)
    for _ in range(BURST):
        throttle.check("a")
        throttle.failed("a")
    with pytest.raises(TooManyRequests) as refused:
        throttle.check("a")
    assert refused.value.retry_after_seconds == 1
    throttle.check("b")
    at += 1
    throttle.check("a")
    throttle.failed("a")
    with pytest.raises(TooManyRequests):
        throttle.check("a")


def test_its_memory_is_bounded() -> None:
    throttle = Throttle()
    for number in range(20_000):
        throttle.failed(str(number))
    assert len(throttle._worked_off_at) <= 4096


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
        ("::1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_who_counts_as_one(remote: str, forwarded: str | None, address: str) -> None:
    assert address_of(request(remote, {"X-Forwarded-For": forwarded} if forwarded else None)) == address


def test_who_has_been_known_is_not_locked_out_by_others_behind_the_same_proxy() -> None:
    asked = []

    def find(secret: str) -> ApiKey | None:
        asked.append(secret)
        return KEY if secret == "good" else None

    auth = Auth(find, Sessions(b"k" * 32, lambda *_: None, lambda *_: None, 60), OwnHosts(""), True)
    assert auth.find(request("10.0.0.1"), "good") == KEY
    for number in range(BURST):
        assert auth.find(request("10.0.0.1"), f"bad {number}") is None
    auth._remembered.clear()  # as after five seconds
    for number in range(100):
        with pytest.raises(TooManyRequests):
            auth.find(request("10.0.0.1"), f"another {number}")
        assert auth.find(request("10.0.0.1"), "good") == KEY
    assert auth.find(request("10.0.0.2"), "bad from elsewhere") is None
    assert len(asked) == 1 + BURST + 1 + 1
