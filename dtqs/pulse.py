"""The pulse: what a supervisor tells `dtqs health` at each turn, in memory that another process can read.

It is no file of a disk, so no turn waits for one. A small file in the node's folder, written once, says where it is.
This module imports little: a probe starts every few seconds.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator

_MEMORY = "dtqs-pulse"
_PLACE = "pulse"
_BOOT_ID_BYTES = 36
_RECORD = struct.Struct("<dddiiii")
_SIZE = _BOOT_ID_BYTES + _RECORD.size
STILL_SECONDS = 10.0
"""A supervisor that takes no turn for this long hangs or is frozen. It takes two turns a second."""

PAUSED = -1
"""Stands for a phase: the node runs, but an operator lets it take nothing (`dtqs ctl drain`)."""


class Pulse:
    """One reading. Times are monotonic; `heartbeat_at` is the newest heartbeat of any child, 0 without one."""

    __slots__ = ("children", "heartbeat_at", "lease_seconds", "phase", "pid", "ready", "turn_at", "waiting")

    def __init__(
        self,
        turn_at: float,
        heartbeat_at: float,
        lease_seconds: float,
        phase: int,
        children: int,
        ready: int,
        waiting: int,
    ) -> None:
        self.turn_at, self.heartbeat_at, self.lease_seconds = turn_at, heartbeat_at, lease_seconds
        self.phase, self.children, self.ready, self.waiting, self.pid = phase, children, ready, waiting, 0


class PulseMemory:
    """The memory of a supervisor's pulse."""

    def __init__(self, boot_id: str) -> None:
        self._descriptor = os.memfd_create(_MEMORY)
        os.ftruncate(self._descriptor, _SIZE)
        self._memory = mmap.mmap(self._descriptor, _SIZE)
        self._memory[:_BOOT_ID_BYTES] = boot_id.encode()

    def announce(self, folder: str) -> None:
        """Write into the node's folder where the pulse is. Raises OSError."""
        place, boot_id = os.path.join(folder, _PLACE), bytes(self._memory[:_BOOT_ID_BYTES]).decode()
        descriptor = os.open(
            f"{place}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            os.write(descriptor, f"{os.getpid()} {self._descriptor} {boot_id}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(f"{place}.new", place)

    def write(self, pulse: Pulse) -> None:
        _RECORD.pack_into(
            self._memory, _BOOT_ID_BYTES, pulse.turn_at, pulse.heartbeat_at, pulse.lease_seconds, pulse.phase,
            pulse.children, pulse.ready, pulse.waiting,
        )  # fmt: skip

    def close(self) -> None:
        """Close the memory, in a new child: a probe must find it only in the supervisor."""
        self._memory.close()
        os.close(self._descriptor)


def read_pulses(state_dir: str) -> Iterator[Pulse]:
    """Yield the pulses of the supervisors that run with this state folder and are visible to this process.

    Raises PermissionError if a supervisor belongs to another user, FileNotFoundError without the folder.
    """
    for name in sorted(os.listdir(state_dir)):
        if name.startswith("node-") and (pulse := _read(os.path.join(state_dir, name, _PLACE))):
            yield pulse


def _read(place: str) -> Pulse | None:
    """Read one pulse. Other containers may share the folder: their pids mean other processes here."""
    try:
        with open(place, encoding="ascii") as file:
            pid, descriptor, boot_id = file.read(200).split()
        memory = f"/proc/{int(pid)}/fd/{int(descriptor)}"
        # to open something else, such as a pipe, could have an effect
        if not os.readlink(memory).startswith(f"/memfd:{_MEMORY}"):
            return None
        with open(memory, "rb") as file:
            content = file.read(_SIZE)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError, ValueError):
        return None
    if len(content) < _SIZE or content[:_BOOT_ID_BYTES] != boot_id.encode():
        return None
    pulse = Pulse(*_RECORD.unpack_from(content, _BOOT_ID_BYTES))
    pulse.pid = int(pid)
    return pulse


def judge(pulse: Pulse, only_life: bool, now: float | None = None) -> tuple[bool, str]:
    """Return whether the node is well, and one sentence. `only_life`: only whether the supervisor lives."""
    now = time.monotonic() if now is None else now
    still = now - pulse.turn_at
    if still > STILL_SECONDS:
        return False, f"dead: the supervisor (pid {pulse.pid}) has stood still for {still:.0f} s; restart it"
    if only_life:
        return True, f"alive: the supervisor (pid {pulse.pid}) took its last turn {max(0.0, still):.1f} s ago"
    if pulse.phase == PAUSED:
        return False, "not ready: paused by an operator; to go on: dtqs ctl resume"
    if pulse.phase:
        return False, "not ready: the node ends, and takes no more tasks"
    waits = f", {pulse.waiting} wait for PostgreSQL" if pulse.waiting else ""
    children = f"{pulse.ready} of {pulse.children} children ready{waits}"
    silent = now - pulse.heartbeat_at
    if not pulse.heartbeat_at:
        return False, f"not ready: no heartbeat has reached PostgreSQL yet; {children}"
    if silent > pulse.lease_seconds:
        return False, (
            f"not ready: no heartbeat has reached PostgreSQL for {silent:.0f} s (lease: {pulse.lease_seconds:g} s); "
            f"{children}; the supervisor lives, so check the database and not this node"
        )
    if pulse.ready < pulse.children:
        return False, f"not ready: {children}, last heartbeat {silent:.1f} s ago; the log tells why"
    return True, f"ready: {children}, last heartbeat {max(0.0, silent):.1f} s ago"
