"""The command `up`: start the sandbox, demonstrate it, and follow it or leave it running."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from types import FrameType

import click

from dtqs.cli.options import INTERRUPTED, json_option
from dtqs.cli.sandbox_facts import dtqs_command, facts_json, facts_text, var_option
from dtqs.cli.sandbox_process import Sandbox, await_ready, follow, follow_start, started, stop
from dtqs.client_env import read_client_env
from dtqs.sandbox.child import SandboxError
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import running

_DEMO_SECONDS = 120


@click.command()
@click.option("--detach", is_flag=True, help="Return when the sandbox is ready, and leave it running.")
@var_option
@click.option(
    "--api-port",
    type=click.IntRange(1, 65535),
    help="Port of the API.  [default: 8080 or another free port, the same at each start]",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Number of worker processes.  [default: one per core]")
@click.option(
    "--demo",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PHOTO",
    help="Make thumbnails of a photo when the sandbox is ready.",
)
@click.option(
    "--begun",
    type=int,
    nargs=3,
    hidden=True,
    help="Go on with a sandbox whose servers are starting: its process id and two file descriptors.",
)
@json_option
def up(
    detach: bool,
    var: Path,
    api_port: int | None,
    workers: int | None,
    demo: Path | None,
    begun: Sandbox | None,
    as_json: bool,
) -> None:
    """Start a private PostgreSQL, RabbitMQ, API and supervisor in ./var.

    Ctrl-C stops them, unless --detach was given. The data stays for the next start. With --json, standard output gets
    one JSON object with URL and key when the sandbox is ready; all other output goes to standard error.

    \b
      dtqs up
      dtqs up --detach --workers 4
      dtqs up --demo photo.jpg
      dtqs up --detach --json | jq -r .url
    """
    places, output = SandboxPaths(var.absolute()), sys.stdout
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        places.refuse_others()

        def print_facts(how_to_stop: str) -> None:
            click.echo(facts_json(places), output) if as_json else click.echo(facts_text(places, how_to_stop))

        if not begun and (pid := running(places.pid_file("sandbox"))):
            click.echo(f"The sandbox runs already (process {pid}).")
            await_ready(places, pid)
            _demonstrate(places, demo)
            print_facts("Stop it with")
            return
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
        with nullcontext(begun) if begun else started(places, detach, api_port, workers) as sandbox:
            _run(places, detach, sandbox, demo, print_facts)


def _run(
    places: SandboxPaths, detach: bool, sandbox: Sandbox, demo: Path | None, print_facts: Callable[[str], None]
) -> None:
    """Tell the sandbox to go on. Follow it until it is ready, or in the foreground until it ends."""
    pid, reading, word = sandbox
    with suppress(BrokenPipeError), os.fdopen(word, "w") as pipe:
        pipe.write("\n")
    ready = False
    with os.fdopen(reading, encoding="utf-8") as report:
        try:
            follow_start(report, places)
            _demonstrate(places, demo)
            ready = True
            print_facts("Stop it with" if detach else "Stop it with Ctrl-C, or from elsewhere")
            if not detach:
                follow(report)
        except KeyboardInterrupt:
            stop(pid)
            if not ready:
                sys.exit(INTERRUPTED)
        except SandboxError:
            if not detach:
                stop(pid)
            raise


def _demonstrate(places: SandboxPaths, photo: Path | None) -> None:
    """Submit the photo with `dtqs submit --wait`, which prints the thumbnails. Raises SandboxError."""
    if photo is None:
        return
    arguments = ["submit", "image", f"source=@{os.path.relpath(photo)}", "--wait"]
    click.echo(f"\n$ {dtqs_command(places)} {shlex.join(arguments)}")
    environment = os.environ | {"DTQS_CONFIG": str(places.ini)} | read_client_env(places.client_env)
    # with --json our own standard output is for the JSON object alone
    output = sys.stderr if sys.stdout is sys.stderr else None
    command = [sys.executable, "-P", "-m", "dtqs", *arguments]
    done = subprocess.run(command, env=environment, stdout=output, timeout=_DEMO_SECONDS, check=False)
    if done.returncode != 0:
        logs = places.log("").parent
        raise SandboxError(f"the demonstration ended with status {done.returncode}; the logs are in {logs}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
