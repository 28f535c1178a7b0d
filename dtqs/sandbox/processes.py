"""Processes in /proc: found by a pid file after a crash, with their descendants, and awaited without being children."""

import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dtqs.deadline import Deadline

_PARENT, _SESSION, _STARTED_AT = 1, 3, 19
"""Indexes of fields in /proc/PID/stat, counted from the state."""
_ENDED = (["Z"], ["X"])
"""The states of a process that nobody has reaped yet."""


def identity(pid: int, pid_file: Path) -> str:
    """Return a line that identifies a process uniquely, although pids are reused and folders copied."""
    fields = _stat(pid)
    return f"{pid} {fields[_STARTED_AT] if fields else '-'} {_boot()} {pid_file.absolute()}\n"


def running(pid_file: Path) -> int | None:
    """Return the pid in the file if exactly that process still runs."""
    try:
        text = pid_file.read_text(encoding="utf-8")
        pid = int(text.split()[0])
        return pid if text == identity(pid, pid_file) else None
    except (FileNotFoundError, IndexError, ValueError):
        return None


def end_leftover(pid_file: Path, deadline: Deadline) -> bool:
    """End the remaining processes of the session in the file, and return whether there were any."""
    left = _left_over(pid_file)
    end_all([member for pid in left for member in family(pid)], deadline)
    pid_file.unlink(missing_ok=True)
    return bool(left)


def _left_over(pid_file: Path) -> list[int]:
    """Return the processes of the session. Its leader may be gone: the number is not reused while a member lives."""
    try:
        pid_text, started_at, boot, path = pid_file.read_text(encoding="utf-8").split(maxsplit=3)
    except (FileNotFoundError, ValueError):
        return []
    leader = _stat(int(pid_text))
    if (
        boot != _boot()
        or path.rstrip("\n") != str(pid_file.absolute())
        or (leader and leader[_STARTED_AT] != started_at)
    ):
        return []
    return [pid for pid in _all_pids() if (fields := _stat(pid)) and fields[_SESSION] == pid_text]


def wait_gone(pids: Sequence[int], deadline: Deadline) -> bool:
    """Wait for the end of all processes, children or not; return whether all ended."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], deadline.remaining)[0]:
                return False
        finally:
            os.close(handle)
    return True


def family(pid: int) -> list[int]:
    """Return the process and its descendants, parents before children."""
    parents: dict[int, list[int]] = {}
    for each in _all_pids():
        if fields := _stat(each):
            parents.setdefault(int(fields[_PARENT]), []).append(each)
    found = [pid] if _stat(pid) else []
    for member in found:
        found += parents.get(member, [])
    return found


def working_in(folder: Path) -> list[int]:
    """Return the visible processes whose working directory is this folder."""
    found = []
    for pid in _all_pids():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.append(pid)
    return found


def end_all(pids: Sequence[int], deadline: Deadline) -> None:
    """Wait half of the time for the processes to end, then kill them."""
    if not wait_gone(pids, Deadline(deadline.remaining / 2)):
        for pid in pids:
            send(pid, signal.SIGKILL)
        wait_gone(pids, deadline)


def is_zombie(pid: int) -> bool:
    """Return whether the process has ended but was not reaped."""
    return _fields(pid)[:1] in _ENDED


def end_family(pid: int, deadline: Deadline) -> None:
    """Kill the process and its descendants, and wait for the descendants."""
    members = family(pid)
    for member in members:
        send(member, signal.SIGKILL)
    kill_group(pid)
    wait_gone([member for member in members if member != pid], deadline)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal, unless the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_group(pid: int) -> None:
    """Kill the rest of a process group: remaining gunicorn workers would hold the port."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty for a missing or hidden process, or a zombie."""
    fields = _fields(pid)
    return [] if fields[:1] in _ENDED else fields


def _fields(pid: int) -> list[str]:
    """Return the same fields, of a zombie too. Mount options of /proc may forbid to read those of other users."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
