"""The command `down`: stop the sandbox."""

import json
import signal
from pathlib import Path

import click

from dtqs.cli.options import json_option
from dtqs.cli.sandbox_facts import var_option
from dtqs.cli.sandbox_process import STOP_SECONDS
from dtqs.deadline import Deadline
from dtqs.sandbox.child import SandboxError
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import end_leftover, running, send, wait_gone

_LEFTOVER_SECONDS = 20


@click.command()
@var_option
@json_option
def down(var: Path, as_json: bool) -> None:
    """Stop the servers that `dtqs up` started. Tasks and files stay.

    \b
      dtqs down
      dtqs down --var /tmp/other
    """
    places = SandboxPaths(var.absolute())
    places.refuse_others()
    pid = running(places.pid_file("sandbox"))
    if pid is None:
        ended = _end_leftovers(places)
        leftovers = f" Ended processes of an earlier one: {', '.join(ended)}." if ended else ""
        text = f"No sandbox runs in {places.var}.{leftovers}"
        click.echo(json.dumps({"stopped": None, "ended": ended}) if as_json else text)
        return
    send(pid, signal.SIGTERM)
    if not wait_gone([pid], Deadline(STOP_SECONDS)):
        log = places.log("sandbox")
        raise SandboxError(f"the sandbox (process {pid}) did not end within {STOP_SECONDS:g} s; its log: {log}")
    text = "The sandbox is stopped. Its data stays; `dtqs up` starts it again."
    click.echo(json.dumps({"stopped": pid, "ended": []}) if as_json else text)


def _end_leftovers(places: SandboxPaths) -> list[str]:
    """End the processes that a killed sandbox left behind; return their names."""
    names = ("supervisor", "api", "rabbitmq", "epmd", "postgresql")
    return [name for name in names if end_leftover(places.pid_file(name), Deadline(_LEFTOVER_SECONDS))]
