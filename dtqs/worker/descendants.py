"""Child processes that an attempt left behind: found through /proc and killed, so that nothing runs on after a cancel or a time limit."""

import contextlib
import os
import signal
import time
from collections.abc import Collection

_WAIT_SECONDS = 2.0


def kill_descendants(spared: Collection[int] = ()) -> None:
    """Kill and reap every descendant of this process but the spared children; returns when they are gone, or after two seconds."""
    give_up = time.monotonic() + _WAIT_SECONDS
    while children := [pid for pid in _children(os.getpid()) if pid not in spared]:
        for pid in children:
            for descendant in [*_below(pid), pid]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(descendant, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > give_up:
            return
        time.sleep(0.005)


def _below(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [*_below(child), child]
    return found


def _children(pid: int) -> list[int]:
    """Children of all threads of a process; none where it is gone."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    except OSError:
        return children
    return children
