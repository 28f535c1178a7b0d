"""Finds the supervisors that run on this machine, by the files in their state folder."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dtqs.cli.options import named_path
from dtqs.errors import TransientError
from dtqs.health import STATE_DIR, Settings
from dtqs.reload_record import ReloadRecord
from dtqs.sandbox.processes import is_zombie


class NoSupervisor(TransientError):
    """No running supervisor can be asked. The exit status is EX_UNAVAILABLE."""


def find(pid: int | None) -> tuple[Path, ReloadRecord]:
    """Return the folder and the record of the supervisor. Raises NoSupervisor."""
    found = {record.pid: (folder, record) for folder, record in _running(pid)}
    if pid is None and len(found) == 1:
        return next(iter(found.values()))
    if pid is None:
        several = f"several supervisors run ({', '.join(map(str, found))}): name one with --pid"
        raise NoSupervisor(several if found else "no supervisor runs on this machine under this configuration")
    if pid not in found:
        raise NoSupervisor(f"process {pid} is no supervisor of this version: restart the service instead")
    return found[pid]


def _running(pid: int | None) -> Iterator[tuple[Path, ReloadRecord]]:
    """Yield the nodes of this machine that run, with their folders. With a pid, look at the records of that one only.

    Two nodes may name one pid, if a machine or container has started again. The later one wrote its record last.
    """
    folders = [folder for each in dict.fromkeys(_state_folders()) for folder in sorted(each.glob("node-*"))]
    for folder in sorted(folders, key=_written_at):
        record = ReloadRecord.read(folder)
        if record and pid in (None, record.pid) and is_supervisor(record.pid):
            yield folder, record


def _written_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / "reload").stat().st_mtime
    return 0.0


def _state_folders() -> Iterator[Path]:
    """Yield the folders that may be the one of the supervisor. A wrong file may still name another one than systemd."""
    # reading the whole configuration would take most of the command's time
    yield Path(Settings(named_path()).get("supervisor", "state_dir", STATE_DIR))
    yield from (Path(name) for name in os.environ.get("STATE_DIRECTORY", "").split(":") if name)
    yield Path(STATE_DIR)


def is_supervisor(pid: int) -> bool:
    """Tell whether the process runs and is no other one that got the number meanwhile."""
    if is_zombie(pid):
        return False
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        # the line is empty for a moment while the process executes a program
        named = {b"supervisor", b"keeper"} & {*words.split(b"\0")}
        return not words or words.startswith(b"dtqs: supervisor") or bool(named)
    try:
        # the sandbox of ExecReload= hides the directories in /proc, but signals reach the process
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        # a process of another user got the number of a supervisor that has ended
        return False
    return True
