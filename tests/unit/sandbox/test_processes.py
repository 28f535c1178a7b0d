"""Processes in /proc that this user may not look at."""

import os
from pathlib import Path
from typing import Any

import pytest

from dtqs.sandbox.processes import family, is_zombie


def test_a_process_that_may_not_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc may be mounted with hidepid=noaccess: each read about a process of another user fails."""
    read_text = Path.read_text

    def read(path: Path, *arguments: Any, **options: Any) -> str:
        if path == Path("/proc/1/stat"):
            raise PermissionError(1, "Operation not permitted", str(path))
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)
    assert not is_zombie(1)
    assert family(1) == []
    assert os.getpid() in family(os.getpid())


def test_an_ended_child_is_a_zombie_until_it_is_reaped() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (is_zombie(pid), family(pid)) == (True, [])
    os.waitpid(pid, 0)
    assert (is_zombie(pid), family(pid)) == (False, [])
