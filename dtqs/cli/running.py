"""Finds the supervisors that run on this machine, by the files in their state folder."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from dtqs.cli.options import named_path
from dtqs.errors import TransientError
from dtqs.health import STATE_DIR, Settings
from dtqs.pulse import pulses_by_config, vouches
from dtqs.reload_record import ReloadRecord
from dtqs.sandbox.processes import is_zombie
from dtqs.trust import may_name, why_foreign

_POLL_SECONDS = 0.005
_EXECUTES_SECONDS = 1.0
"""Longest wait for the command line of a process that executes a program. A kernel thread has none."""
_IDENTITY = "id"
"""The locked file of a node, which its supervisor keeps open."""


class NoSupervisor(TransientError):
    """No running supervisor can be asked. The exit status is EX_UNAVAILABLE."""


def find(pid: int | None) -> tuple[Path, ReloadRecord]:
    """Return the folder and the record of the supervisor. Raises NoSupervisor."""
    settings, faults = Settings(named_path()), list[str]()
    folders = [folder for each in dict.fromkeys(_state_folders(settings)) for folder in _nodes_of(each, faults)]
    found = dict(_running(pid, folders, faults)) or dict(_running(pid, _elsewhere(pid, settings), faults))
    if pid is None and len(found) == 1:
        return next(iter(found.values()))
    if pid is None and found:
        raise NoSupervisor(f"several supervisors run ({', '.join(map(str, found))}): name one with --pid")
    if pid not in found:
        nothing = "no supervisor runs on this machine under this configuration"
        other = f"process {pid} is no supervisor of this version, or has another state_dir: restart the service instead"
        said = [nothing if pid is None else other, *faults, settings.fault()]
        raise NoSupervisor("; ".join(filter(None, dict.fromkeys(said))))
    return found[pid]


def _running(
    pid: int | None, folders: Iterable[Path], faults: list[str]
) -> Iterator[tuple[int, tuple[Path, ReloadRecord]]]:
    """Yield the nodes that run, by process. With a pid, look at the records of that one only.

    Two nodes may name one pid, if a machine or container has started again. The later one wrote its record last.
    """
    for folder in sorted(folders, key=_written_at):
        record = ReloadRecord.read(folder)
        if not record or pid not in (None, record.pid) or not _runs(folder, record.pid):
            continue
        if why := why_foreign(folder):
            faults.append(f"{folder} is not trusted, since it {why}: restart the service")
        elif may_name(folder, record.pid):
            yield record.pid, (folder, record)


def _runs(folder: Path, pid: int) -> bool:
    """Tell whether this node runs. Another process, even another supervisor, may have got the number of its own."""
    pulse = vouches(str(folder), pid)
    return is_supervisor(pid, known=False) if pulse is None else pulse


def _written_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / "reload").stat().st_mtime
    return 0.0


def _state_folders(settings: Settings) -> Iterator[Path]:
    """Yield the folders that may be the one of the supervisor. A wrong file may still name another one than systemd."""
    # reading the whole configuration would take most of the command's time
    yield Path(settings.get("supervisor", "state_dir", STATE_DIR))
    yield from (Path(name) for name in os.environ.get("STATE_DIRECTORY", "").split(":") if name)
    yield Path(STATE_DIR)


def _nodes_of(state_dir: Path, faults: list[str]) -> list[Path]:
    try:
        return sorted(folder for folder in state_dir.iterdir() if folder.name.startswith("node-"))
    except PermissionError as error:
        faults.append(f"{state_dir}: {error.strerror}: run this as root or as the user of the service")
    except (FileNotFoundError, NotADirectoryError):
        pass  # a usual place that this machine does not use
    return []


def _elsewhere(pid: int | None, settings: Settings) -> Iterator[Path]:
    """Yield the folders of supervisors that began before another state folder was written into the file."""
    if pid is not None:
        pids = [pid]
    elif settings.place and not settings.is_variable("supervisor", "state_dir"):
        pids = [pulse.pid for pulse in pulses_by_config(settings.place)]
    else:
        pids = []  # a variable is no edit of the file: with it, several nodes may share one file
    yield from filter(None, map(_folder_of, (pid for pid in pids if is_supervisor(pid, known=False))))


def _folder_of(pid: int) -> Path | None:
    """Return the folder of a node by the identity that its supervisor keeps open. None: this user may not see it."""
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            file = Path(f"/proc/{pid}/fd/{name}").readlink()
            if file.name == _IDENTITY and file.parent.name.startswith("node-"):
                return file.parent
    return None


def is_supervisor(pid: int, known: bool = True) -> bool:
    """Tell whether the process runs and is no other one that got the number meanwhile.

    Its command line is empty for a moment while it executes a program. Only one that is known passes for a supervisor
    then: a signal to a stranger could end it.
    """
    if is_zombie(pid):
        return False
    with suppress(OSError):
        words = _command_line(pid, 0.0 if known else _EXECUTES_SECONDS)
        named = {b"supervisor", b"keeper"} & {*words.split(b"\0")}
        return (known and not words) or words.startswith(b"dtqs: supervisor") or bool(named)
    try:
        # the sandbox of ExecReload= hides the directories in /proc, but signals reach the process
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        # a process of another user got the number of a supervisor that has ended
        return False
    return True


def _command_line(pid: int, patience_seconds: float) -> bytes:
    """Return the command line, and wait while it is empty. Raises OSError."""
    until = time.monotonic() + patience_seconds
    while True:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if words or time.monotonic() >= until:
            return words
        time.sleep(_POLL_SECONDS)
