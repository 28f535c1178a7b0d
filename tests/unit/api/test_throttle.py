"""Failed keys: how many an address may show, which callers count as one, and the cost of a flood."""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress

import falcon
import gevent
import pytest
from falcon.testing import create_environ
from gevent.event import Event

from dtqs.api.access import throttle
from dtqs.api.access.auth import Auth
from dtqs.api.access.origin import OwnHosts
from dtqs.api.access.sessions import Sessions
from dtqs.api.access.throttle import (
    ALL_TURNS_PER_SECOND,
    BURST,
    PATIENCE_SECONDS,
    TURNS_PER_SECOND,
    Throttle,
    address_of,
)
from dtqs.errors import StoreUnavailable, TooManyRequests
from dtqs.store.api_keys import ApiKey
from dtqs.uuid7 import uuid7

KEY = ApiKey(uuid7(), "ada", ("read",))


def request(address: str, headers: Mapping[str, str] | None = None) -> falcon.Request:
    return falcon.Request(create_environ(headers=headers) | {"REMOTE_ADDR": address})


class Clock:
    """A clock that only sleepers advance, and only when the test lets them."""

    def __init__(self) -> None:
        self.at, self.slept = 100.0, [0.0]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def exhausted(clock: Clock, *addresses: str) -> Throttle:
    throttle = Throttle(lambda: clock.at, clock.sleep)
    for address in addresses:
        for _ in range(BURST):
            with throttle.turn(address):
                throttle.failed(address)
    return throttle


def turns(throttle: Throttle, address: str) -> int:
    """Ask for turns until one is refused, and return their number."""
    for count in range(10_000):
        try:
            with throttle.turn(address):
                pass
        except TooManyRequests:
            return count
    raise AssertionError("turns without end")


def test_after_a_burst_the_look_ups_of_an_address_are_spaced() -> None:
    clock = Clock()
    throttle = exhausted(clock, "a")
    assert clock.slept == [0.0], "a burst does not wait"
    assert turns(throttle, "a") == 1 + PATIENCE_SECONDS * TURNS_PER_SECOND
    assert max(clock.slept) == pytest.approx(PATIENCE_SECONDS)
    waits = len(clock.slept)
    with throttle.turn("b"):
        pass
    clock.at += 1
    with throttle.turn("a"):
        pass
    assert len(clock.slept) == waits, "one failure has expired"


def test_all_addresses_together_get_a_bounded_number_of_turns() -> None:
    clock = Clock()
    names = [str(number) for number in range(20)]
    throttle = exhausted(clock, *names)
    given = sum(turns(throttle, name) for name in names)
    assert given <= 1 + PATIENCE_SECONDS * ALL_TURNS_PER_SECOND
    assert max(clock.slept) <= PATIENCE_SECONDS


def test_an_address_owes_at_most_one_burst() -> None:
    clock = Clock()
    throttle = exhausted(clock, "a")
    for _ in range(1000):
        throttle.failed("a")
    clock.at += 1.0
    before = len(clock.slept)
    with throttle.turn("a"):
        pass
    assert len(clock.slept) == before


def test_the_memory_of_the_throttle_is_bounded() -> None:
    throttle = Throttle()
    for number in range(20_000):
        throttle.failed(str(number))
        with throttle.turn(f"and {number}"):
            pass
    assert len(throttle._addresses) <= 4096


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
def test_only_loopback_may_forward_a_callers_address(remote: str, forwarded: str | None, address: str) -> None:
    assert address_of(request(remote, {"X-Forwarded-For": forwarded} if forwarded else None)) == address


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2, 127.0.0.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1:51234", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, [2001:db8:1:2::7]:443", "2001:db8:1:2::/64"),
        ("10.0.0.1", "6.6.6.6, [2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        ("10.0.0.1", "198.51.100.1:1, 10.0.0.2:80", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9:port", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
    ],
)
def test_a_trusted_proxy_names_the_caller(remote: str, forwarded: str | None, address: str) -> None:
    proxies = [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8::1")]
    assert address_of(request(remote, {"X-Forwarded-For": forwarded} if forwarded else None), proxies) == address


def test_an_entry_of_a_trusted_proxy_that_is_no_address_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked(("10.0.0.0/24",))
    for number in range(3):
        asked.guess(1, "10.0.0.1", {"X-Forwarded-For": f"198.51.100.1, secret{number}"})
        asked.guess(1, "192.0.2.1", {"X-Forwarded-For": "nonsense"})
        asked.guess(1, "10.0.0.1")
    assert len(caplog.records) == 1
    assert "X-Forwarded-For" in caplog.records[0].message
    assert "secret" not in caplog.text


class Asked:
    """A store that knows one key, and an Auth on it whose clock stands still."""

    def __init__(self, proxies: tuple[str, ...] = ()) -> None:
        self.secrets: list[str] = []
        self.clock = Clock()
        self.auth = Auth(
            self.find, Sessions(b"k" * 32, lambda *_: None, lambda *_: None, 60), OwnHosts(""), True, proxies
        )
        self.auth._throttle = Throttle(lambda: self.clock.at, self.clock.sleep)

    def find(self, secret: str) -> ApiKey | None:
        self.secrets.append(secret)
        return KEY if secret == "good" else None

    def guess(self, times: int, address: str, headers: Mapping[str, str] | None = None) -> None:
        for number in range(times):
            with suppress(TooManyRequests):
                assert self.auth.find(request(address, headers), f"bad {number}") is None
        self.auth._remembered.clear()  # the state five seconds later


def test_a_new_valid_key_is_accepted_beside_a_caller_who_keeps_guessing() -> None:
    asked = Asked()
    asked.guess(BURST + 5, "10.0.0.1")
    asked.clock.at += 1  # time for one more bad key: the guesses continue
    asked.guess(1, "10.0.0.1")
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY
    assert asked.clock.slept[-1] <= 0.2


def test_guesses_are_limited_and_lock_out_no_known_key() -> None:
    asked = Asked()
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY
    asked.guess(1000, "10.0.0.1")
    looked = len(asked.secrets)
    assert looked <= 2 + BURST + PATIENCE_SECONDS * TURNS_PER_SECOND
    with pytest.raises(TooManyRequests):
        asked.auth.find(request("10.0.0.1"), "another")
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY
    assert asked.auth.find(request("10.0.0.2"), "bad from elsewhere") is None


class Slow(Asked):
    """The same, with a store whose answers wait."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = Event()
        self.away = False

    def find(self, secret: str) -> ApiKey | None:
        self.secrets.append(secret)
        assert self.may_answer.wait(5)
        if self.away:
            raise StoreUnavailable("away")
        return KEY if secret.startswith("good") else None

    def together(self, *secrets: str) -> list[gevent.Greenlet]:
        """Ask at the same time, each in a greenlet of its own. Its value is the key, or the error."""
        greenlets = [gevent.spawn(self._asked, secret) for secret in secrets]
        gevent.sleep(0)
        return greenlets

    def _asked(self, secret: str) -> ApiKey | Exception | None:
        try:
            return self.auth.find(request("10.0.0.1"), secret)
        except Exception as error:  # gevent would print the traceback of each
            return error


def test_parallel_guesses_do_not_pass_together() -> None:
    asked = Slow()
    guesses = asked.together(*(f"bad {number}" for number in range(500)))
    assert len(asked.secrets) == BURST
    asked.may_answer.set()
    gevent.joinall(guesses, 10)
    assert len(asked.secrets) <= 1 + BURST + PATIENCE_SECONDS * TURNS_PER_SECOND
    refused = [one.value for one in guesses if isinstance(one.value, TooManyRequests)]
    assert len(asked.secrets) + len(refused) == len(guesses)


def test_parallel_requests_with_good_keys_all_pass_without_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "PATIENCE_SECONDS", 60.0)  # a busy machine may need more than 2 s for all of them
    asked = Slow()
    callers = asked.together(*(f"good {number % 100}" for number in range(500)))
    asked.may_answer.set()
    gevent.joinall(callers, 10)
    assert [one.value for one in callers] == [KEY] * len(callers)
    assert asked.clock.slept == [0.0]
    assert all(one.running == 0 and not one.waiting for one in asked.auth._throttle._addresses.values())


def test_a_killed_look_up_gives_its_place_to_another() -> None:
    asked = Slow()
    running = asked.together(*(f"good {number}" for number in range(BURST)))
    first, second, third = asked.together("good a", "good b", "good c")
    assert "good a" not in asked.secrets
    first.kill()
    running[0].kill()
    gevent.sleep(0)
    assert asked.secrets[BURST:] == ["good b"]
    asked.may_answer.set()
    gevent.joinall([*running, second, third], 10)
    assert [second.value, third.value] == [KEY, KEY]


def test_a_store_that_does_not_answer_is_no_fault_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.api.access.throttle.PATIENCE_SECONDS", 0.05)
    asked = Slow()
    running = asked.together(*(f"good {number}" for number in range(BURST)))
    with pytest.raises(StoreUnavailable):
        asked.auth.find(request("10.0.0.1"), "good too")
    asked.may_answer.set()
    gevent.joinall(running, 10)
    assert asked.auth.find(request("10.0.0.1"), "good too") == KEY


def test_requests_of_a_key_whose_memory_ends_share_one_look_up() -> None:
    asked = Slow()
    asked.may_answer.set()
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY
    for killed in (False, True):
        asked.auth._remembered.clear()  # the state five seconds later
        asked.may_answer.clear()
        asked.secrets.clear()
        first, *others = asked.together(*["good"] * 200)
        assert asked.secrets == ["good"]
        if killed:
            first.kill()
            gevent.idle()
        asked.may_answer.set()
        gevent.joinall(others, 10)
        assert [one.value for one in others] == [KEY] * len(others)
        assert len(asked.secrets) == 1 + killed


def test_requests_that_share_a_look_up_hear_together_that_the_store_is_away() -> None:
    asked = Slow()
    asked.may_answer.set()
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY
    asked.auth._remembered.clear()
    asked.may_answer.clear()
    asked.away = True
    callers = asked.together(*["good"] * 50)
    asked.may_answer.set()
    gevent.joinall(callers, 10)
    assert [type(one.value) for one in callers] == [StoreUnavailable] * 50
    assert asked.secrets == ["good", "good"]
    asked.away = False
    assert asked.auth.find(request("10.0.0.1"), "good") == KEY


def test_a_guesser_behind_a_trusted_proxy_delays_nobody_else_behind_it() -> None:
    asked = Asked(("10.0.0.0/24",))
    asked.guess(1000, "10.0.0.1", {"X-Forwarded-For": "198.51.100.1"})
    waits = len(asked.clock.slept)
    assert asked.auth.find(request("10.0.0.1", {"X-Forwarded-For": "198.51.100.2"}), "good") == KEY
    assert len(asked.clock.slept) == waits
