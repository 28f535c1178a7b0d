"""The command `ctl`: commands for a running supervisor on this machine."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from dtqs.cli.options import Group, configuration_path, json_option
from dtqs.cli.output import print_json
from dtqs.config import SupervisorSection, state_dir
from dtqs.errors import DtqsError, TransientError
from dtqs.sandbox.processes import is_zombie
from dtqs.supervisor.reload import DONE, OVER, REFUSED, ReloadRecord

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 30.0
"""The loop of the supervisor answers at once. This much is for a machine that is overloaded."""


class NoSupervisor(TransientError):
    """No running supervisor can be asked. The exit status is EX_UNAVAILABLE."""


class NotReloaded(DtqsError):
    """A reload has failed. The exit status tells a wrong configuration from a lack of time."""

    def __init__(self, reason: str, exit_status: int) -> None:
        self.exit_status = exit_status
        super().__init__(reason)


@click.group(cls=Group)
def ctl() -> None:
    """Command the supervisor that runs on this machine.

    \b
      dtqs ctl reload
    """


@ctl.command()
@click.option("--pid", type=click.IntRange(2), help="Process id of the supervisor.  [default: the only one]")
@click.option("--wait-seconds", type=click.FloatRange(0), default=600.0, show_default=True, help="Longest wait.")
@json_option
def reload(pid: int | None, wait_seconds: float, as_json: bool) -> None:
    """Load configuration and code again, and wait until all children are new.

    The supervisor first checks both in a fresh process. If something is wrong, nothing changes, the reason is printed,
    and the exit status is 78. Running tasks go on: a worker that is replaced finishes its task.

    \b
      dtqs ctl reload
      dtqs ctl reload --pid "$MAINPID" --wait-seconds 80
    """
    folder, before = _find(pid)
    _send(before.pid)
    done = _wait(folder, before, time.monotonic() + wait_seconds)
    if done.state != DONE:
        text = "not reloaded, configuration and code stay as they are" if done.state == REFUSED else "reloaded in part"
        raise NotReloaded(f"{text}: {done.reason}", os.EX_CONFIG if done.state == REFUSED else os.EX_TEMPFAIL)
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"Process {done.pid} has loaded configuration and code again. All its children are new.")


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        advice = "run this as root or as the user of the service"
        raise NoSupervisor(f"process {pid} cannot be asked: {error.strerror}; {advice}") from error


def _find(pid: int | None) -> tuple[Path, ReloadRecord]:
    """Return the folder and the record of the supervisor. Raises NoSupervisor."""
    found = {record.pid: (folder, record) for folder, record in _running()}
    if pid is None and len(found) == 1:
        return next(iter(found.values()))
    if pid is None:
        several = f"several supervisors run ({', '.join(map(str, found))}): name one with --pid"
        raise NoSupervisor(several if found else "no supervisor runs on this machine under this configuration")
    if pid not in found:
        raise NoSupervisor(f"process {pid} is no supervisor of this version: restart the service instead")
    return found[pid]


def _running() -> Iterator[tuple[Path, ReloadRecord]]:
    """Yield the nodes of this machine that run, with their folders."""
    for state_folder in dict.fromkeys(_state_folders()):
        for folder in sorted(state_folder.glob("node-*")):
            record = ReloadRecord.read(folder)
            if record and _is_supervisor(record.pid):
                yield folder, record


def _state_folders() -> Iterator[Path]:
    """Yield the folders that may be the one of the supervisor. A wrong file may still name another one than systemd."""
    yield state_dir(configuration_path())
    yield from (Path(name) for name in os.environ.get("STATE_DIRECTORY", "").split(":") if name)
    yield SupervisorSection().state_dir


def _is_supervisor(pid: int) -> bool:
    """Tell whether the process runs and is no other one that got the number meanwhile."""
    if is_zombie(pid):
        return False
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        # the line is empty for a moment while the process executes a program
        return not words or words.startswith(b"dtqs: supervisor") or b"supervisor" in words.split(b"\0")
    try:
        # the sandbox of ExecReload= hides the directories in /proc, but signals reach the process
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(folder: Path, before: ReloadRecord, until: float) -> ReloadRecord:
    """Return the record of the finished reload. Raises NotReloaded."""
    answer_by = min(until, time.monotonic() + _ANSWER_SECONDS)
    while True:
        now, record = time.monotonic(), ReloadRecord.read(folder) or before
        if record.number > before.number and record.state in OVER:
            return record
        if not _is_supervisor(before.pid):
            raise NotReloaded("the supervisor has ended; its log says why", os.EX_TEMPFAIL)
        if now >= answer_by and record.number == before.number:
            raise NotReloaded("the supervisor does not reload: it ends, or it ignores SIGHUP", os.EX_TEMPFAIL)
        if now >= until:
            raise NotReloaded(f"the reload has not ended yet; it is {record.state} and goes on", os.EX_TEMPFAIL)
        time.sleep(_POLL_SECONDS)
