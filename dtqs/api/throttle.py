"""How many keys that are none of ours one address may show: each costs a look into the database. Memory is bounded."""

import ipaddress
import math
import time
from collections.abc import Callable

import falcon

from dtqs.errors import TooManyRequests

BURST = 20
PER_SECOND = 1.0
_ADDRESSES_LIMIT = 4096
_V6_NETWORK = 64


class Throttle:
    """`now` is the monotonic clock. An address is remembered only while it has failures to work off."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._worked_off_at: dict[str, float] = {}

    def check(self, address: str) -> None:
        """Raises TooManyRequests while the address has no failure left."""
        wait = self._worked_off_at.get(address, 0.0) - self._now() - (BURST - 1) / PER_SECOND
        if wait > 0:
            raise TooManyRequests("too many API keys from this address that are none of ours; check the key, and wait", math.ceil(wait))

    def failed(self, address: str) -> None:
        """Note a failure."""
        now = self._now()
        if len(self._worked_off_at) >= _ADDRESSES_LIMIT and address not in self._worked_off_at:
            self._worked_off_at = {each: at for each, at in self._worked_off_at.items() if at > now}
            if len(self._worked_off_at) >= _ADDRESSES_LIMIT:
                self._worked_off_at.clear()
        self._worked_off_at[address] = max(now, self._worked_off_at.get(address, 0.0)) + 1 / PER_SECOND


def address_of(req: falcon.Request) -> str:
    """Return whose failures count together: an address, or an IPv6 network of 64 bits, which one host can have.

    A proxy on this machine says whom it serves in the last entry of X-Forwarded-For; from elsewhere that header may be invented.
    """
    text = req.env.get("REMOTE_ADDR") or "127.0.0.1"
    address = _parsed(text)
    forwarded = req.env.get("HTTP_X_FORWARDED_FOR")
    if forwarded and (address is None or address.is_loopback):
        address = _parsed(forwarded.rpartition(",")[2].strip()) or address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _V6_NETWORK), strict=False))
    return str(address)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
