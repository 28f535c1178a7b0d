"""The commands `up` and `down`: start the sandbox in the background and report on it, demonstrate it, follow it or leave it, and stop it."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import click

from dtqs.cli.options import json_option
from dtqs.deadline import Deadline
from dtqs.sandbox.child import SandboxError
from dtqs.sandbox.places import SandboxPaths, read_client_env
from dtqs.sandbox.processes import end_leftover, running, send, wait_gone
from dtqs.sandbox.report import ERROR, READY
from dtqs.sandbox.stack import is_ready

_STOP_SECONDS = 150.0
_READY_SECONDS = 120.0
_INTERRUPTED = 130
"""What a shell calls the status of a command that Ctrl-C has ended."""
Sandbox = tuple[int, int, int]
"""Its process, and our ends of two pipes: what it reports, and the word that it may go on."""
_var_option = click.option(
    "--var",
    default="var",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of everything it keeps.",
)


@click.command()
@click.option("--detach", is_flag=True, help="Return when it is ready, and leave it running.")
@_var_option
@click.option(
    "--api-port",
    type=click.IntRange(1, 65535),
    help="Port of the API.  [default: 8080 or another free one, the same each time]",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes.  [default: one per core]")
@click.option(
    "--demo",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PHOTO",
    help="Make thumbnails of a photograph when it is ready.",
)
@click.option(
    "--begun",
    type=int,
    nargs=3,
    hidden=True,
    help="Go on with a sandbox whose servers are starting: its process and two descriptors.",
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
    """Start a private PostgreSQL, RabbitMQ, API and supervisor below ./var.

    Ends with Ctrl-C, unless it is detached. Data stays: the next start goes on with it. With --json where it is comes as an object when it is ready,
    and all else goes to standard error.

    \b
      dtqs up
      dtqs up --detach --workers 4
      dtqs up --demo photo.jpg
      dtqs up --detach --json | jq -r .url
    """
    places, output = SandboxPaths(var.absolute()), sys.stdout
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        places.refuse_others()

        def tell(how_to_stop: str) -> None:
            click.echo(_facts(places), output) if as_json else _tell(places, how_to_stop)

        if not begun and (pid := running(places.pid_file("sandbox"))):
            click.echo(f"The sandbox runs already (process {pid}).")
            _await_ready(places, pid)
            _demonstrate(places, demo)
            tell("Stop it with")
            return
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
        with nullcontext(begun) if begun else _started(places, detach, api_port, workers) as sandbox:
            _see_it_through(places, detach, sandbox, demo, tell)


def _see_it_through(
    places: SandboxPaths, detach: bool, sandbox: Sandbox, demo: Path | None, tell: Callable[[str], None]
) -> None:
    """Let it go on, and follow it until it is ready, or until it ends."""
    pid, reading, word = sandbox
    with suppress(BrokenPipeError), os.fdopen(word, "w") as pipe:
        pipe.write("\n")
    ready = False
    with os.fdopen(reading, encoding="utf-8") as report:
        try:
            _follow_start(report, places)
            _demonstrate(places, demo)
            ready = True
            tell("Stop it with" if detach else "Stop it with Ctrl-C, or from elsewhere")
            if not detach:
                _follow(report)
        except KeyboardInterrupt:
            _stop(pid)
            if not ready:
                sys.exit(_INTERRUPTED)
        except SandboxError:
            if not detach:
                _stop(pid)
            raise


@click.command()
@_var_option
@json_option
def down(var: Path, as_json: bool) -> None:
    """Stop what `dtqs up` started. Tasks and files stay.

    \b
      dtqs down
      dtqs down --var /tmp/other
    """
    places = SandboxPaths(var.absolute())
    places.refuse_others()
    pid = running(places.pid_file("sandbox"))
    if pid is None:
        ended = _end_leftovers(places)
        words = f"No sandbox runs below {places.var}." + (
            f" Ended what an earlier one had left over: {', '.join(ended)}." if ended else ""
        )
        click.echo(json.dumps({"stopped": None, "ended": ended}) if as_json else words)
        return
    os.kill(pid, signal.SIGTERM)
    if not wait_gone([pid], Deadline(_STOP_SECONDS)):
        raise SandboxError(
            f"the sandbox (process {pid}) has not ended within {_STOP_SECONDS:g} s; its log: {places.log('sandbox')}"
        )
    click.echo(
        json.dumps({"stopped": pid, "ended": []})
        if as_json
        else "The sandbox is stopped. Its data stays; `dtqs up` goes on with it."
    )


@contextmanager
def _started(places: SandboxPaths, detach: bool, api_port: int | None, workers: int | None) -> Iterator[Sandbox]:
    """Start the sandbox's own process, and yield it: its pid is nobody else's meanwhile."""
    reading, report = os.pipe()
    word, writing = os.pipe()
    # in the foreground it must not outlive us; it then stops cleanly by itself
    command = [
        "setpriv",
        "--pdeathsig",
        "clear" if detach else "TERM",
        "--",
        sys.executable,
        "-P",
        "-m",
        "dtqs.sandbox",
    ]
    arguments = [str(places.var), str(api_port or ""), str(workers or ""), str(report), str(word)]
    process = subprocess.Popen(
        command + arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[report, word],
        start_new_session=True,
    )
    os.close(report)
    os.close(word)
    yield process.pid, reading, writing


def _await_ready(places: SandboxPaths, pid: int) -> None:
    """Another one has started it, and may still be at it. Raises SandboxError."""
    deadline = Deadline(_READY_SECONDS)
    while not is_ready(read_client_env(places.client_env).get("DTQS_URL", "")):
        if wait_gone([pid], Deadline(0.1)) or deadline.passed:
            raise SandboxError(f"the sandbox (process {pid}) is not ready; its log: {places.log('sandbox')}")


def _follow_start(report: IO[str], places: SandboxPaths) -> None:
    """Print the steps until all is ready. Raises SandboxError."""
    errors = []
    for line in map(str.rstrip, report):
        if line == READY:
            return
        if line.startswith(ERROR):
            errors.append(line.removeprefix(ERROR))
        else:
            click.echo(line)
    raise SandboxError("\n".join(errors) or f"the sandbox ended before it was ready; its log: {places.log('sandbox')}")


def _follow(report: IO[str]) -> None:
    """Print what happens to it until it ends."""
    for line in map(str.rstrip, report):
        click.echo(line)


def _stop(pid: int) -> None:
    """Stop it and wait; another Ctrl-C makes the workers give back what they run."""
    deadline = Deadline(_STOP_SECONDS)
    click.echo("\nStopping: the workers finish what they run (Ctrl-C again: they give it back)")
    if _is_ours(pid):
        send(pid, signal.SIGTERM)
    while not deadline.passed:
        try:
            if not _is_ours(pid) or wait_gone([pid], deadline):
                click.echo("Stopped. The data stays.")
                return
        except KeyboardInterrupt:
            if _is_ours(pid):
                send(pid, signal.SIGTERM)
    raise SandboxError("the sandbox has not ended in time")


def _is_ours(pid: int) -> bool:
    """Tell whether it is a child of ours, ended or not: the shell that began it may have seen its end, and then its pid may be anybody's."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _demonstrate(places: SandboxPaths, photo: Path | None) -> None:
    """Submit the photograph as anybody would, and wait for its thumbnails."""
    if photo is None:
        return
    arguments = ["submit", "image", f"source=@{os.path.relpath(photo)}", "--wait"]
    click.echo(f"\n$ {_command(places)} {shlex.join(arguments)}")
    environment = os.environ | {"DTQS_CONFIG": str(places.ini)} | read_client_env(places.client_env)
    # with --json our own standard output is for the object alone
    output = sys.stderr if sys.stdout is sys.stderr else None
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dtqs", *arguments], env=environment, stdout=output, timeout=120, check=False
    )
    if done.returncode != 0:
        raise SandboxError(
            f"the demonstration ended with status {done.returncode}; the logs are in {places.log('').parent}"
        )


def _facts(places: SandboxPaths) -> str:
    """Write where it is as JSON."""
    client = read_client_env(places.client_env)
    return json.dumps(
        {
            "url": client["DTQS_URL"],
            "key": client["DTQS_API_KEY"],
            "config": str(places.ini),
            "pid": running(places.pid_file("sandbox")),
        }
    )


def _tell(places: SandboxPaths, how_to_stop: str) -> None:
    """Say where it is and what to type next."""
    client, command = read_client_env(places.client_env), _command(places)
    var = os.path.relpath(places.var)
    lines = [
        "",
        f"API      {client['DTQS_URL']}",
        f"Key      {client['DTQS_API_KEY']}   (also in {var}/client.env)",
        f"Browse   open {client['DTQS_URL']}/ in a browser, and log in with the key",
        f"Submit   {command} submit image source=@PHOTO --wait",
        f"""         . {var}/client.env; curl -H "Authorization: Bearer $DTQS_API_KEY" -H 'Content-Type: application/json' \\""",
        """             -d '{"task_type": "echo", "payload": {}}' $DTQS_URL/submit""",
        f"Look     {command} console    {command} tasks    {command} doctor    tail {var}/log/*.log",
        f"Mails    {command} mails   (they are kept here, and sent to nobody)",
        f"{how_to_stop}   {command} down" + ("" if var == "var" else f" --var {var}"),
    ]
    click.echo("\n".join(lines))


def _command(places: SandboxPaths) -> str:
    """Return how this user calls dtqs here."""
    installed = Path(sys.prefix, "bin", "dtqs")
    name = os.path.relpath(installed) if installed.exists() else "dtqs"
    return name if os.path.relpath(places.var) == "var" else f"DTQS_CONFIG={os.path.relpath(places.ini)} {name}"


def _end_leftovers(places: SandboxPaths) -> list[str]:
    names = ("supervisor", "api", "rabbitmq", "epmd", "postgresql")
    return [name for name in names if end_leftover(places.pid_file(name), Deadline(20))]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
