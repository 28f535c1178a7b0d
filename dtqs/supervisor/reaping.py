"""The dead and the orphaned: who ended and how, whose process group goes with it, and which strangers were left to us.

As a subreaper, or as PID 1 of a container, the supervisor becomes the parent of processes that it never started. They are reaped, never judged.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dtqs.signal_name import signal_name

_STRANGERS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit status, or the signal that ended it (then `status` is None)."""

    pid: int
    status: int | None
    signal_number: int = 0
    max_rss_bytes: int = 0

    @property
    def cause(self) -> str:
        """Words for people: `exit status 3`, `signal 9 (SIGKILL)`."""
        if self.status is not None:
            return f"exit status {self.status}"
        name, number = signal_name(self.signal_number), f"signal {self.signal_number}"
        return number if name == number else f"{number} ({name})"


def ended(own: Callable[[int], bool]) -> Iterator[End]:
    """Yield every child of this process that has ended, strangers included, each reaped; what is left of an own child's group is killed before."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None:
            return
        if own(dead.si_pid):
            # while it is a zombie, nobody else can have its pid, nor a group of that number
            kill_group(dead.si_pid)
        pid, status, usage = os.wait4(dead.si_pid, 0)
        code = os.waitstatus_to_exitcode(status)
        yield End(pid, code if code >= 0 else None, max(0, -code), usage.ru_maxrss * 1024)


def leave_nothing_behind(spared: Collection[int], wait: Callable[[float], None]) -> None:
    """Kill and reap what children have left, for two seconds at most."""
    deadline = time.monotonic() + _STRANGERS_SECONDS
    while time.monotonic() < deadline:
        list(ended(lambda pid: False))
        if not children_of_ours() - set(spared) or not kill_strangers(spared):
            return
        wait(0.05)


def kill_group(pid: int) -> None:
    """Kill the process group that this unreaped child leads, and the child itself if it leads none."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def children_of_ours() -> set[int]:
    """Return the pids of this process's children, zombies included; empty where Linux does not tell."""
    pid = os.getpid()
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def kill_strangers(spared: Collection[int]) -> int:
    """Kill the children that are not spared and whose group no spared process leads; return how many were met.

    They were orphaned by a child that died. As PID 1 we also inherit what an operator's shell in the container leaves behind: that is of another session.
    """
    met = 0
    for pid in children_of_ours() - set(spared):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            ours = os.getpid() != 1 or os.getsid(pid) == os.getsid(0)
            if ours and os.getpgid(pid) not in spared:
                os.kill(pid, signal.SIGKILL)
                met += 1
    return met
