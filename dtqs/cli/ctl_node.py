"""The commands of `ctl` that the supervisor answers on its socket: status, drain, resume, grow, shrink, kill."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dtqs.amounts import age, size
from dtqs.cli.options import EX_REFUSED, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.cli.running import NoSupervisor, find, is_supervisor
from dtqs.operator_socket import SOCKET, ask

_SECONDS = 5.0
_LISTENS_SECONDS = 10.0
_POLL_SECONDS = 0.1
_COLUMNS = ("slot", "pid", "state", "task", "age", "silent", "memory", "reason")
_SPARE = ("silent", "age", "memory")
_pid_option = click.option(
    "--pid", type=click.IntRange(2), help="Process id of the supervisor.  [default: the only one]"
)


class _Refused(click.ClickException):
    exit_code = EX_REFUSED


@click.command()
@_pid_option
@json_option
def status(pid: int | None, as_json: bool) -> None:
    """Show the state of the node and of each child.

    \b
      dtqs ctl status
      dtqs ctl status --json | jq -r '.children[] | select(.state == "busy") | .task_id'
    """
    answer = _ask(pid, {"command": "status"})
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['node']}, pid {answer['pid']}, {answer['phase']}: {answer['summary']}")
    print_table(_COLUMNS, [_row(child) for child in answer["children"]], spare=_SPARE)


@click.command()
@_pid_option
@json_option
def drain(pid: int | None, as_json: bool) -> None:
    """Let the workers finish their tasks and take nothing more. The node stays, paused, until `dtqs ctl resume`.

    \b
      dtqs ctl drain
    """
    answer = _ask(pid, {"command": "drain"})
    _print(answer, as_json, f"paused; workers that still finish: {answer.get('finishing')}; to go on: dtqs ctl resume")


@click.command()
@_pid_option
@json_option
def resume(pid: int | None, as_json: bool) -> None:
    """Fill the pools again after a drain.

    \b
      dtqs ctl resume
    """
    _print(_ask(pid, {"command": "resume"}), as_json, "resumed")


@click.command()
@click.argument("pool", required=False)
@_pid_option
@json_option
def grow(pool: str | None, pid: int | None, as_json: bool) -> None:
    """Add one worker to a pool, by default to the first one, until the next reload or start.

    \b
      dtqs ctl grow
      dtqs ctl grow video
    """
    answer = _ask(pid, {"command": "grow", "pool": pool})
    _print(answer, as_json, f"workers of pool {answer.get('pool')}: {answer.get('workers')}")


@click.command()
@click.argument("pool", required=False)
@_pid_option
@json_option
def shrink(pool: str | None, pid: int | None, as_json: bool) -> None:
    """Take one worker from a pool, an idle one if there is any. A busy one finishes its task first.

    \b
      dtqs ctl shrink
      dtqs ctl shrink video
    """
    answer = _ask(pid, {"command": "shrink", "pool": pool})
    _print(answer, as_json, f"workers of pool {answer.get('pool')}: {answer.get('workers')}")


@click.command()
@click.argument("slot")
@_pid_option
@json_option
def kill(slot: str, pid: int | None, as_json: bool) -> None:
    """Kill a child with all its processes. Its task spends the attempt, and its error says that you did it.

    SLOT is a slot or a pid of `dtqs ctl status`.

    \b
      dtqs ctl kill default/0
      dtqs ctl kill 4711
    """
    answer = _ask(pid, {"command": "kill", "slot": slot})
    _print(answer, as_json, f"killed {answer.get('killed')}, pid {answer.get('pid')}")


def _ask(pid: int | None, request: Mapping[str, Any]) -> Any:
    """Send a request to the supervisor of this machine. A refusal ends the command."""
    folder, record = find(pid)
    try:
        answer = _answer(folder, record.pid, request)
    except PermissionError as error:
        raise _Refused(f"{folder / SOCKET}: {error.strerror}; allowed: root and the user of the service") from error
    except (OSError, ValueError) as error:
        raise NoSupervisor(
            f"the supervisor does not answer on {folder / SOCKET}: {error or 'it took too long'}"
        ) from error
    if "error" in answer:
        raise _Refused(str(answer["error"]))
    return answer


def _answer(folder: Path, pid: int, request: Mapping[str, Any]) -> Any:
    """Return the answer. Raises OSError, ValueError.

    A supervisor that executes its program in a reload listens again some seconds later: it refuses until then.
    """
    until = time.monotonic() + _LISTENS_SECONDS
    while True:
        try:
            return ask(folder, request, _SECONDS)
        except ConnectionRefusedError:
            if time.monotonic() >= until or not is_supervisor(pid):
                raise
        time.sleep(_POLL_SECONDS)


def _row(child: Mapping[str, Any]) -> tuple[str | None, ...]:
    silent, lives, memory = child.get("silent_seconds"), child.get("lives_seconds"), child.get("memory_bytes")
    again = child.get("again_in_seconds")
    reason = child.get("last_words") or ""
    if again:
        reason = f"next try in {age(again)}" + (f": {reason}" if reason else "")
    return (
        child["slot"] + (" (leaves)" if child["leaves"] else ""),
        None if child["pid"] is None else str(child["pid"]),
        child["state"],
        child.get("task_id"),
        None if lives is None else age(lives),
        None if silent is None else age(silent),
        None if memory is None else size(memory),
        reason or None,
    )


def _print(answer: Mapping[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(text)


COMMANDS = (status, drain, resume, grow, shrink, kill)
