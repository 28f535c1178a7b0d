"""Reaps ended children, kills their process groups, and kills orphans.

As a subreaper, or as PID 1 of a container, the supervisor becomes the parent of strangers: processes that it did not
start. It reaps them, but their end has no further effect.
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
    """The end of a process: its exit status, or the signal that ended it and a `status` of None."""

    pid: int
    status: int | None
    signal_number: int = 0
    max_rss_bytes: int = 0

    @property
    def cause(self) -> str:
        """The cause as text for people: `exit status 3`, `signal 9 (SIGKILL)`."""
        if self.status is not None:
            return f"exit status {self.status}"
        name, number = signal_name(self.signal_number), f"signal {self.signal_number}"
        return number if name == number else f"{number} ({name})"


def ended(own: Callable[[int], bool]) -> Iterator[End]:
    """Reap and yield all ended children, strangers as well. First kill the rest of an own child's process group."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None:
            return
        if own(dead.si_pid):
            # while it is a zombie, no other process or group can have its number
            kill_group(dead.si_pid)
        pid, status, usage = os.wait4(dead.si_pid, 0)
        code = os.waitstatus_to_exitcode(status)
        yield End(pid, code if code >= 0 else None, max(0, -code), usage.ru_maxrss * 1024)


def leave_nothing_behind(spared: Collection[int], wait: Callable[[float], None]) -> None:
    """Kill and reap the orphans of dead children, for two seconds at most."""
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
    """Return the pids of this process's children, with zombies. Without /proc the set is empty."""
    pid = os.getpid()
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def kill_strangers(spared: Collection[int]) -> int:
    """Kill all children but the spared ones and those in a group that a spared one leads. Return their number.

    They are orphans of a dead child. PID 1 of a container also inherits orphans of an operator's shell. These belong to
    another session and stay alive.
    """
    killed = 0
    for pid in children_of_ours() - set(spared):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            ours = os.getpid() != 1 or os.getsid(pid) == os.getsid(0)
            if ours and os.getpgid(pid) not in spared:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
