"""Hosts in network namespaces that a bridge joins to this one, and faults of their network.

Only for a process that has a network namespace of its own, as bin/test-failover gives it: the rules and the bridge end
with that namespace.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence

SERVERS = "10.77.0.1"
"""The address of the servers on the bridge."""
_BRIDGE, _TABLE = "dtqs0", "inet dtqs_faults"
_PROGRAMS = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux", "unshare": "util-linux"}


def hindrance() -> str | None:
    """Return why no namespaces can be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            return f"{program} is missing: apt-get install {package}"
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        return "this test changes the network: run bin/test-failover, which gives it a network namespace"
    return None


class Bridge:
    """The bridge with the servers' end, and the rules that drop packets. A context manager."""

    def __init__(self) -> None:
        self._hosts: list[NamespaceHost] = []

    def __enter__(self) -> "Bridge":
        _do("ip", "link", "add", _BRIDGE, "type", "bridge")
        _do("ip", "address", "add", f"{SERVERS}/24", "dev", _BRIDGE)
        _do("ip", "link", "set", _BRIDGE, "up")
        _nft(f"add table {_TABLE}")
        for hook in ("input", "output"):
            _nft(f"add chain {_TABLE} {hook} {{ type filter hook {hook} priority 0; policy accept; }}")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.end()
        _nft(f"delete table {_TABLE}")
        _do("ip", "link", "delete", _BRIDGE)

    def host(self) -> "NamespaceHost":
        """Return a new host."""
        self._hosts.append(NamespaceHost(len(self._hosts) + 2))
        return self._hosts[-1]

    def cut(self, host: "NamespaceHost", ports: Sequence[int]) -> None:
        """Drop every packet between the host and these ports of the servers. Connections are not closed by it."""
        for port in ports:
            _nft(f"add rule {_TABLE} input ip saddr {host.address} tcp dport {port} drop")
            _nft(f"add rule {_TABLE} output ip daddr {host.address} tcp sport {port} drop")

    def heal(self) -> None:
        """Let all packets pass again."""
        _nft(f"flush table {_TABLE}")


class NamespaceHost:
    """A network namespace with one address on the bridge. It lasts as long as a process that only holds it."""

    def __init__(self, number: int) -> None:
        self.address = f"{SERVERS.rpartition('.')[0]}.{number}"
        ours, theirs = f"dtqs{number}", f"dtqs{number}n"
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo made; exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout
        assert self._holder.stdout.readline() == b"made\n"
        _do("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
        _do("ip", "link", "set", theirs, "netns", str(self._holder.pid))
        _do("ip", "link", "set", ours, "master", _BRIDGE, "up")
        _do(*self.inside("ip", "address", "add", f"{self.address}/24", "dev", theirs))
        for device in ("lo", theirs):
            _do(*self.inside("ip", "link", "set", device, "up"))

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs another one on this host."""
        return ["nsenter", "--net", "--target", str(self._holder.pid), "--", *command]

    def end(self) -> None:
        """Let the namespace end with its last process."""
        self._holder.kill()
        self._holder.communicate(timeout=10)


def _nft(rule: str) -> None:
    _do("nft", rule)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
