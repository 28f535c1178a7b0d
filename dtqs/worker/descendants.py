"""Kills processes that an attempt left behind, so that none goes on after a cancel or a time limit. Uses /proc."""

import contextlib
import os
import signal
import time
from collections.abc import Collection

_WAIT_SECONDS = 2.0


def kill_descendants(spared: Collection[int] = ()) -> None:
    """Kill and reap all descendants of this process but the spared children, for two seconds at most."""
    give_up = time.monotonic() + _WAIT_SECONDS
    while children := [pid for pid in _children(os.getpid()) if pid not in spared]:
        for descendant in [process for pid in children for process in (*_below(pid), pid)]:
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
    """Return the children of all threads of a process. For an ended process the list is empty."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    except OSError:
        return children
    return children
