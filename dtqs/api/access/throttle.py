"""Limits on unknown API keys from one address, because each costs a look into the database. Memory is bounded.

A good key that is new to this process looks like an unknown one, and many callers may share an address. So an address
with too many failures is not refused: its look-ups take turns. A running look-up counts like a failure.
"""

import ipaddress
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import falcon
import gevent
from gevent.event import Event

from dtqs.errors import StoreUnavailable, TooManyRequests

BURST = 20
PER_SECOND = 1.0
TURNS_PER_SECOND, ALL_TURNS_PER_SECOND = 10.0, 50.0
"""Look-ups of an address with too many failures, and of all such addresses together."""
PATIENCE_SECONDS = 2.0
_ADDRESSES_LIMIT = 4096
_V6_NETWORK = 64
_WITH_PORT = re.compile(r"\[([^\[\]]{2,60})\](?::[0-9]{1,5})?|([0-9.]{7,15}):[0-9]{1,5}")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class _Address:
    """The failures of one address: the time when they expire, and the time of its next turn. Its look-ups now."""

    worked_off_at: float
    turn_at: float = 0.0
    running: int = 0
    waiting: deque[Event] | None = None
    """Look-ups that wait for the end of running ones, oldest first."""

    def room(self, now: float) -> float:
        """Return how many look-ups may begin now, apart from the running ones; below 1: none."""
        return BURST - max(0.0, self.worked_off_at - now) * PER_SECOND


class Throttle:
    """Counts failures by address, and forgets an address when they have expired. `now` is the monotonic clock."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = gevent.sleep
    ) -> None:
        self._now, self._sleep = now, sleep
        self._addresses: dict[str, _Address] = {}
        self._turn_at = 0.0

    @contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Hold a turn for one look-up, which calls `failed` if it fails.

        Raises TooManyRequests for too long a wait, StoreUnavailable if the running look-ups do not end.
        """
        known = self._known(address)
        if known.room(self._now()) - known.running < 1:
            self._wait(known)
        known.running += 1
        try:
            yield
        finally:
            known.running -= 1
            self._wake(known)

    def failed(self, address: str) -> None:
        """Note a failure."""
        now, known = self._now(), self._known(address)
        # at most a burst: failures while others wait must not block the address for hours afterwards
        known.worked_off_at = min(max(now, known.worked_off_at) + 1 / PER_SECOND, now + BURST / PER_SECOND)

    def _known(self, address: str) -> _Address:
        known = self._addresses.get(address)
        if known is None:
            now = self._now()
            if len(self._addresses) >= _ADDRESSES_LIMIT:
                self._forget(now)
            known = self._addresses[address] = _Address(now)
        return known

    def _forget(self, now: float) -> None:
        """Make room: forget expired failures, or all. The addresses of running look-ups stay; these are few."""
        kept = {each: known for each, known in self._addresses.items() if known.running or known.worked_off_at > now}
        if len(kept) >= _ADDRESSES_LIMIT:
            kept = {each: known for each, known in kept.items() if known.running}
        self._addresses = kept

    def _wait(self, known: _Address) -> None:
        """Wait for the running look-ups of an address, or for its turn if it has used up its failures."""
        with gevent.Timeout(PATIENCE_SECONDS, StoreUnavailable("other API keys from this address are looked up")):
            while (room := known.room(self._now())) >= 1 and room - known.running < 1:
                self._wait_for_end(known)
        if room < 1:
            self._take_turn(known)

    def _wait_for_end(self, known: _Address) -> None:
        ended = Event()
        waiting = known.waiting = known.waiting or deque()
        waiting.append(ended)
        try:
            ended.wait()
        except BaseException:
            if ended.is_set():
                self._wake(known)
            else:
                waiting.remove(ended)
            raise

    def _wake(self, known: _Address) -> None:
        """Wake as many waiting look-ups as may begin; all of them if the address has used up its failures."""
        room, waiting = known.room(self._now()), known.waiting
        count = room - known.running if room >= 1 else float("inf")
        while waiting and count >= 1:
            waiting.popleft().set()
            count -= 1

    def _take_turn(self, known: _Address) -> None:
        now = self._now()
        at = max(now, known.turn_at, self._turn_at)
        if at - now > PATIENCE_SECONDS:
            raise TooManyRequests("too many unknown API keys from this address; check the key, and try again later", 1)
        known.turn_at = at + 1 / TURNS_PER_SECOND
        self._turn_at = max(now, self._turn_at) + 1 / ALL_TURNS_PER_SECOND
        self._sleep(at - now)


def address_of(
    req: falcon.Request, proxies: Sequence[Network] = (), unreadable: Callable[[], None] = lambda: None
) -> str:
    """Return the address whose failures count together: an IPv4 address, or an IPv6 /64, which one host may own.

    A proxy on this machine, or one of `proxies`, names its client in the last entry of X-Forwarded-For. Other senders
    may forge this header. `unreadable` is called for an entry of such a proxy that is no address.
    """
    address = _parsed(req.env.get("REMOTE_ADDR") or "127.0.0.1")
    entries = (req.env.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    while entries and (address is None or _is_proxy(address, proxies)):
        entry = entries.pop().strip()
        named = _parsed(entry)
        if named is None:
            if entry:
                unreadable()
            break
        address = named
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _V6_NETWORK), strict=False))
    return str(address)


def _is_proxy(address: ipaddress.IPv4Address | ipaddress.IPv6Address, proxies: Sequence[Network]) -> bool:
    return address.is_loopback or any(address in network for network in proxies)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; an IPv4-mapped IPv6 address becomes IPv4.

    Some proxies add the client's port: `203.0.113.9:51234`, `[2001:db8::7]:443`.
    """
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
