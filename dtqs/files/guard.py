"""Decides which servers may be fetched from: public addresses, allowed ports, and configured hosts; pure.

network.py connects.
"""

import ipaddress
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from dtqs.config import FilesSection, is_network
from dtqs.files.uri import Url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# listed here because the standard library's lists differ between Python versions
_CLOSED: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for networks, kind in (
        ("127.0.0.0/8 ::1/128", "a loopback address"),
        ("0.0.0.0/8 ::/128", "an unspecified address"),
        ("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10", "a private address"),
        ("100.64.0.0/10", "an address of a carrier's own network"),
        ("169.254.0.0/16 fe80::/10", "a link-local address"),
        ("224.0.0.0/4 ff00::/8", "a multicast address"),
        (
            "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4",
            "a reserved address",
        ),
        ("2001::/23 2001:db8::/32 3fff::/20 5f00::/16", "a reserved address"),
        # public by its number, but on a virtual machine the host answers there
        ("168.63.129.16/32", "a reserved address"),
    )
    for network in networks.split()
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_V4_INSIDE: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (IPv6Network("::/96"), 0),  # compatible
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""IPv6 networks that embed an IPv4 address, and the number of bits after it."""


class Guard:
    def __init__(self, section: FilesSection) -> None:
        self._ports = frozenset(section.fetch_ports)
        hosts = section.fetch_allow_hosts
        self._networks = tuple(ipaddress.ip_network(host) for host in hosts if is_network(host))
        self._names = frozenset(host for host in hosts if not is_network(host))

    def refusal(self, url: Url) -> str | None:
        """Return why the URL may not be fetched, judged without resolving its host; None if nothing forbids it yet."""
        if not self._ports:
            return "http: and https: sources are not configured; allowed ports are listed in [files] fetch_ports"
        if url.port not in self._ports:
            return f"port {url.port} is not allowed; allowed: {', '.join(map(str, sorted(self._ports)))}"
        return self.judge(url.host, address) if (address := literal(url.host)) else None

    def judge(self, host: str, address: Address) -> str | None:
        """Return why a host with this address may not be fetched from; None if it may."""
        kind = nonpublic_kind(address)
        if kind is None or self._opens(host, address):
            return None
        return f"its host has {kind}; allowed: public addresses, and the hosts of [files] fetch_allow_hosts"

    def _opens(self, host: str, address: Address) -> bool:
        parents = host.split(".")
        if host in self._names or any(f"*.{'.'.join(parents[at:])}" in self._names for at in range(1, len(parents))):
            return True
        return any(
            each in network
            for each in (address, embedded_ipv4(address))
            if each
            for network in self._networks
            if network.version == each.version
        )


def nonpublic_kind(address: Address) -> str | None:
    """Return the kind of a non-public address; None for a public one. An embedded IPv4 address is judged as itself."""
    if embedded := embedded_ipv4(address):
        address = embedded
    for network, kind in _CLOSED:
        if address.version == network.version and address in network:
            return kind
    return None if isinstance(address, IPv4Address) or address in _PUBLIC_V6 else "a reserved address"


def embedded_ipv4(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address embeds, in any form that a gateway or the system understands."""
    if isinstance(address, IPv4Address) or address in (IPv6Address("::"), IPv6Address("::1")):
        return None
    return next(
        (IPv4Address(int(address) >> shift & 0xFFFFFFFF) for network, shift in _V4_INSIDE if address in network), None
    )


def literal(host: str) -> Address | None:
    """Return the address of a host that is one; None for a name.

    The old forms that the system's resolver accepts count too (127.1, 0x7f000001).
    """
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(host))
    return None
