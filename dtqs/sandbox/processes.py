"""Processes as /proc shows them: found again by a pid file after a crash, with all that they started, and waited for though they are not our children."""

import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dtqs.deadline import Deadline

_PARENT, _SESSION, _STARTED_AT = 1, 3, 19
"""Fields of /proc/PID/stat, counted from the state on."""


def identity(pid: int, pid_file: Path) -> str:
    """Say which process this is so that nothing else can be taken for it: pids come again, and folders are copied."""
    fields = _stat(pid)
    return f"{pid} {fields[_STARTED_AT] if fields else '-'} {_boot()} {pid_file.absolute()}\n"


def running(pid_file: Path) -> int | None:
    """Return the pid of the process that the file names, if that very process still lives."""
    try:
        text = pid_file.read_text(encoding="utf-8")
        pid = int(text.split()[0])
        return pid if text == identity(pid, pid_file) else None
    except (FileNotFoundError, IndexError, ValueError):
        return None


def end_leftover(pid_file: Path, deadline: Deadline) -> bool:
    """End what is left of the session that the file's process led: it may be ending by itself. Tell whether there was anything."""
    left = _left_over(pid_file)
    end_all([member for pid in left for member in family(pid)], deadline)
    pid_file.unlink(missing_ok=True)
    return bool(left)


def _left_over(pid_file: Path) -> list[int]:
    """Return the processes of that session. Its number is not given to others while one of them lives, so the leader may be gone."""
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
    """Wait until none of the processes, children of ours or not, is left; tell whether that came true."""
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
    """Return the process and everything below it, parents before children."""
    parents: dict[int, list[int]] = {}
    for each in _all_pids():
        if fields := _stat(each):
            parents.setdefault(int(fields[_PARENT]), []).append(each)
    found = [pid] if _stat(pid) else []
    for member in found:
        found += parents.get(member, [])
    return found


def working_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is this folder, as far as we may look."""
    found = []
    for pid in _all_pids():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                found.append(pid)
    return found


def end_all(pids: Sequence[int], deadline: Deadline) -> None:
    """Give the processes half of the time to end by themselves, then kill them."""
    if not wait_gone(pids, Deadline(deadline.remaining / 2)):
        for pid in pids:
            send(pid, signal.SIGKILL)
        wait_gone(pids, deadline)


def is_zombie(pid: int) -> bool:
    """Tell whether the process has ended and nobody has asked for its status."""
    return not _stat(pid) and Path(f"/proc/{pid}").exists()


def end_family(pid: int, deadline: Deadline) -> None:
    members = family(pid)
    for member in members:
        send(member, signal.SIGKILL)
    kill_group(pid)
    wait_gone([member for member in members if member != pid], deadline)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_group(pid: int) -> None:
    """Kill what is left of the session: gunicorn's workers would hold the port."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, or nothing for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if fields[0] in "ZX" else fields


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
