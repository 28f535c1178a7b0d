"""Limits on unknown API keys from one address, because each costs a look into the database. Memory is bounded.

A good key that is new to this process looks like an unknown one, and many callers may share an address. So an address
with too many failures is not refused: its look-ups take turns, a few a second. Too long a wait ends in a refusal.
"""

import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import falcon
import gevent

from dtqs.errors import TooManyRequests

BURST = 20
PER_SECOND = 1.0
TURNS_PER_SECOND, ALL_TURNS_PER_SECOND = 10.0, 50.0
"""Look-ups of an address with too many failures, and of all such addresses together."""
PATIENCE_SECONDS = 2.0
_ADDRESSES_LIMIT = 4096
_V6_NETWORK = 64
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class _Failures:
    """The failures of one address: the time when they expire, and the time of its next turn."""

    worked_off_at: float
    turn_at: float = 0.0


class Throttle:
    """Counts failures by address, and forgets an address when they have expired. `now` is the monotonic clock."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = gevent.sleep
    ) -> None:
        self._now, self._sleep = now, sleep
        self._addresses: dict[str, _Failures] = {}
        self._turn_at = 0.0

    def wait_turn(self, address: str) -> None:
        """Wait for a turn, if the address has used up its failures. Raises TooManyRequests for too long a wait."""
        now, known = self._now(), self._addresses.get(address)
        if known is None or known.worked_off_at - now <= (BURST - 1) / PER_SECOND:
            return
        at = max(now, known.turn_at, self._turn_at)
        if at - now > PATIENCE_SECONDS:
            raise TooManyRequests("too many unknown API keys from this address; check the key, and try again later", 1)
        known.turn_at = at + 1 / TURNS_PER_SECOND
        self._turn_at = max(now, self._turn_at) + 1 / ALL_TURNS_PER_SECOND
        self._sleep(at - now)

    def failed(self, address: str) -> None:
        """Note a failure."""
        now = self._now()
        if len(self._addresses) >= _ADDRESSES_LIMIT and address not in self._addresses:
            self._addresses = {each: known for each, known in self._addresses.items() if known.worked_off_at > now}
            if len(self._addresses) >= _ADDRESSES_LIMIT:
                self._addresses.clear()
        known = self._addresses.setdefault(address, _Failures(now))
        # at most a burst: failures while others wait must not block the address for hours afterwards
        known.worked_off_at = min(max(now, known.worked_off_at) + 1 / PER_SECOND, now + BURST / PER_SECOND)


def address_of(req: falcon.Request, proxies: Sequence[Network] = ()) -> str:
    """Return the address whose failures count together: an IPv4 address, or an IPv6 /64, which one host may own.

    A proxy on this machine, or one of `proxies`, names its client in the last entry of X-Forwarded-For. Other senders
    may forge this header.
    """
    address = _parsed(req.env.get("REMOTE_ADDR") or "127.0.0.1")
    entries = (req.env.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    while entries and (address is None or _is_proxy(address, proxies)):
        named = _parsed(entries.pop().strip())
        if named is None:
            break
        address = named
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _V6_NETWORK), strict=False))
    return str(address)


def _is_proxy(address: ipaddress.IPv4Address | ipaddress.IPv6Address, proxies: Sequence[Network]) -> bool:
    return address.is_loopback or any(address in network for network in proxies)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
