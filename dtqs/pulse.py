"""The pulse: what a supervisor tells `dtqs health` at each turn, in memory that another process can read.

It is no file of a disk, so no turn waits for one; a small file in the node's folder says where it is. A supervisor that
executes its program again leaves the memory to it. This module imports little: a probe starts every few seconds.
"""

import errno
import mmap
import os
import struct
import time
from collections.abc import Iterator

from dtqs.trust import may_name, why_foreign
from dtqs.whole_file import WholeFile

_MEMORY = "dtqs-pulse"
_PLACE = "pulse"
_BOOT_ID_BYTES = 36
_RECORD = struct.Struct("<dddiiii")
_SIZE = _BOOT_ID_BYTES + _RECORD.size
_PATH_BYTES = 1024
"""After the record: the path of the configuration file."""
STILL_SECONDS = 10.0
"""A supervisor that takes no turn for this long hangs or is frozen. It takes two turns a second."""

PAUSED = -1
"""Stands for a phase: the node runs, but an operator lets it take nothing (`dtqs ctl drain`)."""


class Pulse:
    """One reading. Times are monotonic; `heartbeat_at` is the newest heartbeat of any child, 0 without one.

    `turn_at` lies ahead while the supervisor executes its program again: until then it may stand still.
    """

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

    def __init__(self, boot_id: str, config: str = "", descriptor: int | None = None) -> None:
        """`config`: the path of the configuration file. `descriptor`: of memory that exists."""
        self.descriptor = os.memfd_create(_MEMORY) if descriptor is None else descriptor
        os.ftruncate(self.descriptor, _SIZE + _PATH_BYTES)
        self._memory = mmap.mmap(self.descriptor, _SIZE + _PATH_BYTES)
        self._memory[:_BOOT_ID_BYTES] = boot_id.encode()
        self._memory[_SIZE:] = os.fsencode(config)[:_PATH_BYTES].ljust(_PATH_BYTES, b"\0")

    @classmethod
    def of_program_before(cls, folder: str, boot_id: str, config: str) -> "PulseMemory | None":
        """Return the memory that the program before this one has left in the same process, or None."""
        try:
            with open(os.path.join(folder, _PLACE), encoding="ascii") as file:
                pid, descriptor, found = file.read(200).split()
            if int(pid) != os.getpid() or found != boot_id or not _is_pulse(f"/proc/self/fd/{int(descriptor)}"):
                return None
            os.set_inheritable(int(descriptor), False)
            return cls(boot_id, config, int(descriptor))
        except (OSError, ValueError):
            return None

    def announce(self, folder: str) -> None:
        """Write into the node's folder where the pulse is. Raises OSError."""
        place, boot_id = os.path.join(folder, _PLACE), bytes(self._memory[:_BOOT_ID_BYTES]).decode()
        with WholeFile(place, durable=False) as file:
            file.write(f"{os.getpid()} {self.descriptor} {boot_id}\n".encode())

    def write(self, pulse: Pulse) -> None:
        _RECORD.pack_into(
            self._memory, _BOOT_ID_BYTES, pulse.turn_at, pulse.heartbeat_at, pulse.lease_seconds, pulse.phase,
            pulse.children, pulse.ready, pulse.waiting,
        )  # fmt: skip

    def allow_silence(self, until: float) -> None:
        """Let the supervisor stand still until this time. The next pulse ends it."""
        struct.pack_into("<d", self._memory, _BOOT_ID_BYTES, until)

    def close(self) -> None:
        """Close the memory, in a new child: a probe must find it only in the supervisor."""
        self._memory.close()
        os.close(self.descriptor)


def read_pulses(state_dir: str) -> Iterator[Pulse]:
    """Yield the pulses of the supervisors that run with this state folder and are visible to this process.

    Raises FileNotFoundError without the folder. Raises PermissionError if none is visible, and a process is of another
    user, or another user may write into the folder of a node. Such a process may be a stranger: it got the number of a
    supervisor that has ended.
    """
    found, fault = False, None
    for name in sorted(os.listdir(state_dir)):
        try:
            pulse = _read(os.path.join(state_dir, name)) if name.startswith("node-") else None
        except PermissionError as error:
            fault = error
            continue
        if pulse:
            found = True
            yield pulse
    if fault and not found:
        raise fault


def pulses_by_config(config: str) -> Iterator[Pulse]:
    """Yield the pulses of supervisors with this configuration file, wherever their state folder is.

    It looks at each process of this machine whose command line may be a supervisor's.
    """
    wanted = os.fsencode(config)
    for pid in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        for content in _pulses_of(pid):
            if content[_SIZE:].rstrip(b"\0") == wanted:
                yield _unpacked(content, int(pid))


def vouches(folder: str, pid: int) -> bool | None:
    """Tell whether the pulse in a node's folder is the one of this process. None: this user cannot see it."""
    try:
        with open(os.path.join(folder, _PLACE), encoding="ascii") as file:
            named, descriptor, boot_id = file.read(200).split()
        memory = f"/proc/{pid}/fd/{int(descriptor)}"
        if int(named) != pid:
            return None
        os.listdir(f"/proc/{pid}/fd")
    except (OSError, ValueError):
        return None
    try:
        return _is_pulse(memory) and _content(memory).startswith(boot_id.encode())
    except OSError:
        return False


def _pulses_of(pid: str) -> list[bytes]:
    """Return the pulses of a process that may be a supervisor: by its title or, during a reload, its arguments."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096)
        if not words.startswith(b"dtqs: supervisor") and b"\0--adopt\0" not in words:
            return []
        places = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
        return [_content(place) for place in places if _is_pulse(place)]
    except OSError:  # it has ended, or belongs to another user
        return []


def _read(folder: str) -> Pulse | None:
    """Read one pulse. Other containers may share the folder: their pids mean other processes here."""
    try:
        if why := why_foreign(folder):
            raise PermissionError(errno.EACCES, f"not trusted, since it {why}", folder)
        with open(os.path.join(folder, _PLACE), encoding="ascii") as file:
            pid, descriptor, boot_id = file.read(200).split()
        memory = f"/proc/{int(pid)}/fd/{int(descriptor)}"
        content = _content(memory) if may_name(folder, int(pid)) and _is_pulse(memory) else b""
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError, ValueError):
        return None
    if len(content) < _SIZE or content[:_BOOT_ID_BYTES] != boot_id.encode():
        return None
    return _unpacked(content, int(pid))


def _is_pulse(place: str) -> bool:
    """Tell whether an open file is such memory: to open something else, such as a pipe, could have an effect."""
    return os.readlink(place).startswith(f"/memfd:{_MEMORY}")


def _content(place: str) -> bytes:
    with open(place, "rb") as file:
        return file.read(_SIZE + _PATH_BYTES)


def _unpacked(content: bytes, pid: int) -> Pulse:
    pulse = Pulse(*_RECORD.unpack_from(content, _BOOT_ID_BYTES))
    pulse.pid = pid
    return pulse


def judge(pulse: Pulse, only_life: bool, now: float | None = None) -> tuple[bool, str]:
    """Return whether the node is well, and one sentence. `only_life`: only whether the supervisor lives."""
    now = time.monotonic() if now is None else now
    still = now - pulse.turn_at
    if still > STILL_SECONDS:
        return False, f"dead: the supervisor (pid {pulse.pid}) has stood still for {still:.0f} s; restart it"
    if only_life and still < 0:
        return True, f"alive: the supervisor (pid {pulse.pid}) loads its program again"
    if only_life:
        return True, f"alive: the supervisor (pid {pulse.pid}) took its last turn {still:.1f} s ago"
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
