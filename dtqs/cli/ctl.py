"""The command `ctl`: commands for a running supervisor on this machine."""

import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

import click

from dtqs.cli import ctl_node
from dtqs.cli.options import Group, Seconds, json_option
from dtqs.cli.output import print_json
from dtqs.cli.running import NoSupervisor, find, is_supervisor
from dtqs.errors import DtqsError
from dtqs.reload_record import DONE, ENDS, OVER, PAUSED, REFUSED, RESTART, ReloadRecord

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 30.0
"""The loop of the supervisor answers at once. This much is for a machine that is overloaded."""


class NotReloaded(DtqsError):
    """A reload has failed. The exit status tells a wrong configuration from a lack of time and from an old program."""

    def __init__(self, reason: str, exit_status: int) -> None:
        self.exit_status = exit_status
        super().__init__(reason)


@click.group(cls=Group)
def ctl() -> None:
    """Command the supervisor that runs on this machine.

    Only root and the user of the service may do so. It answers while its workers hang, and without PostgreSQL.

    \b
      dtqs ctl status
      dtqs ctl reload
      dtqs ctl drain
      dtqs ctl grow video
      dtqs ctl kill default/0
    """


for _command in ctl_node.COMMANDS:
    ctl.add_command(_command)


@ctl.command()
@click.option("--pid", type=click.IntRange(2), help="Process id of the supervisor.  [default: the only one]")
@click.option(
    "--wait-seconds",
    type=Seconds(0, is_endless=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait; inf: no limit.",
)
@json_option
def reload(pid: int | None, wait_seconds: float, as_json: bool) -> None:
    """Load configuration and code again, and wait until all children are new.

    The supervisor first checks both in a fresh process. If something is wrong, nothing changes, the reason is printed,
    and the exit status is 78. Running tasks go on: a worker that is replaced finishes its task. The exit status is 75
    for a node that is paused or ends, for a reload that is not done within the time, and if a new child does not become
    ready. It is 69 if the running supervisor cannot load the new version: then restart the service.

    \b
      dtqs ctl reload
      dtqs ctl reload --pid "$MAINPID" --wait-seconds 80
    """
    folder, before = find(pid)
    _send(before.pid)
    done = _wait(folder, before, time.monotonic() + wait_seconds)
    if done.state != DONE:
        text = "not reloaded, configuration and code stay as they are" if done.state == REFUSED else "reloaded in part"
        raise NotReloaded(f"{text}: {done.reason}", _status(done))
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"Process {done.pid} has loaded configuration and code again. All its children are new.")
        if done.reason:
            click.echo(f"warning: {done.reason}", err=True)


def _status(record: ReloadRecord) -> int:
    """Return the exit status for a reload that was refused or is stuck."""
    if record.state != REFUSED or record.reason in (PAUSED, ENDS):
        return os.EX_TEMPFAIL
    return os.EX_UNAVAILABLE if record.reason.endswith(RESTART) else os.EX_CONFIG


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        advice = "run this as root or as the user of the service"
        raise NoSupervisor(f"process {pid} cannot be asked: {error.strerror}; {advice}") from error


def _wait(folder: Path, before: ReloadRecord, until: float) -> ReloadRecord:
    """Return the record of the finished reload. Raises NotReloaded."""
    answer_by = min(until, time.monotonic() + _ANSWER_SECONDS)
    while True:
        now, record = time.monotonic(), ReloadRecord.read(folder) or before
        if record.number > before.number and record.state in OVER:
            return record
        if not is_supervisor(before.pid):
            raise NotReloaded("the supervisor has ended; its log says why", os.EX_TEMPFAIL)
        if now >= answer_by and record.number == before.number:
            raise NotReloaded("the supervisor does not reload: it ends, or it ignores SIGHUP", os.EX_TEMPFAIL)
        if now >= until:
            raise NotReloaded(f"the reload has not ended yet; it is {record.state} and goes on", os.EX_TEMPFAIL)
        time.sleep(_POLL_SECONDS)
