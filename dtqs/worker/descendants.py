"""Kills processes that an attempt left behind, so that none goes on after a cancel or a time limit. Uses /proc."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection
from typing import Any

_WAIT_SECONDS = 2.0


def kill_descendants(spared: Collection[int] = ()) -> None:
    """Kill and reap all descendants of this process but the spared children, for two seconds at most.

    The resource tracker of multiprocessing is spared, too.
    """
    give_up = time.monotonic() + _WAIT_SECONDS
    spared, killed = _resource_tracker().union(spared), set[int]()
    while children := [pid for pid in _children(os.getpid()) if pid not in spared]:
        for descendant in [process for pid in children for process in (*_below(pid), pid)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(descendant, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        killed.update(children)
        if time.monotonic() > give_up:
            break
        time.sleep(0.005)
    if killed:
        _forget_fork_server(killed)


def _resource_tracker() -> set[int]:
    """Return the pid of multiprocessing's tracker, if it runs. It is idle, and ends with this process.

    Named semaphores and shared memory outlast an attempt, and the next tracker would not know them.
    """
    tracker: Any = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    pid = getattr(tracker, "_pid", None)
    return {pid} if isinstance(pid, int) else set()


def _forget_fork_server(killed: Collection[int]) -> None:
    """Let multiprocessing start its fork server again for the next attempt. It expects to reap it itself."""
    server: Any = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    # other versions of Python may have other attributes
    with contextlib.suppress(AttributeError, TypeError, OSError):
        if server is not None and server._forkserver_pid in killed:
            server._forkserver_pid, end = None, server._forkserver_alive_fd
            os.close(end)
            server._forkserver_address = server._forkserver_alive_fd = None


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
