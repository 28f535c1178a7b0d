"""The command submit: it talks HTTP to the API, here or anywhere."""

import sys
from pathlib import Path
from typing import Any

import click

from dtqs.amounts import size
from dtqs.cli import payload as payloads
from dtqs.cli.hints import hinted
from dtqs.cli.options import json_option
from dtqs.cli.output import print_json
from dtqs.cli.payload import LocalUpload, PayloadError
from dtqs.cli.show import show_result
from dtqs.cli.tasks_options import Api, opened_api, wait_seconds_option
from dtqs.cli.unread import may_be_unread
from dtqs.cli.wait import exit_status, wait_for
from dtqs.client import ApiRefusal, WaitOver
from dtqs.task import PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN

STATUSES = """Exit status: 0 completed, 1 failed, 2 refused or wrongly used, 3 cancelled, 69 the API is not available,
75 the wait has reached its limit (the task goes on) or the API asks to come back later, 77 the key is not good for this, 78 configuration."""


@click.command(epilog=STATUSES)
@click.argument("task_type", metavar="TYPE")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--payload",
    "-p",
    "options",
    multiple=True,
    metavar="JSON|@FILE|KEY=VALUE",
    help="The payload, or a part of it; @- reads standard input.",
)
@click.option(
    "--priority", type=click.IntRange(PRIORITY_MIN, PRIORITY_MAX), help=f"9 is first.  [default: {PRIORITY_DEFAULT}]"
)
@click.option("--max-retries", type=int, metavar="N", help="Retries after the first attempt.  [default: the type's]")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=float,
    metavar="SECONDS",
    help="Time limit of an attempt.  [default: the type's]",
)
@click.option("--delay", "delay_seconds", type=float, metavar="SECONDS", help="Run it no sooner than this from now.")
@click.option("--due-at", metavar="TIME", help="Run it no sooner than this: 2026-12-24T18:00:00+01:00.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be repeated.")
@click.option(
    "--idempotency-key", metavar="KEY", help="The same key again returns the first task.  [default: a fresh one]"
)
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@wait_seconds_option
@json_option
def submit(
    task_type: str,
    pairs: tuple[str, ...],
    options: tuple[str, ...],
    wait: bool,
    wait_seconds: float,
    as_json: bool,
    **fields: Any,
) -> None:
    """Submit a task of TYPE; with --wait, follow it to its end.

    The payload is made of KEY=VALUE pairs: a value is JSON if it reads as such, else text; @PATH uploads that file and puts
    its URI there; dots lead inside:

    \b
      dtqs submit echo greeting=hello --wait
      dtqs submit image source=@photo.jpg outputs.0.name=small outputs.0.width=400 --wait
      dtqs submit image --payload @payload.json --tag holiday
      dtqs submit email to.0=ada@example.com subject=Hello text=Hi --delay 600
      ID=$(dtqs submit echo a=1) && dtqs task $ID
    """
    payload = payloads.build(options, pairs, _read)
    with opened_api() as api:
        uris = {upload: _upload(api, upload) for upload in payloads.uploads(payload)}
        try:
            accepted = api.client.submit(task_type, payloads.resolve(payload, uris.__getitem__), **fields)
        except ApiRefusal as error:
            raise hinted(error, pairs) from error
        if wait:
            sys.exit(_wait(api, accepted.task_id, task_type, wait_seconds, as_json))
    if as_json:
        print_json(accepted.json)
    else:
        click.echo(accepted.task_id)


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PayloadError(f"--payload @{name}: {error}") from error


def _upload(api: Api, upload: LocalUpload) -> str:
    """Upload a file under a progress bar; return its URI."""
    path = upload.path
    if path.is_dir():
        raise PayloadError(f"@{path} is a folder; name a file")
    if not path.is_file():
        raise PayloadError(f"@{path}: there is no such file")
    label = f"upload {path.name} ({size(path.stat().st_size)})"
    try:
        with click.progressbar(
            length=path.stat().st_size, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            return api.client.upload(path, sent=bar.update).uri
    except OSError as error:
        raise PayloadError(f"@{path}: {error}") from error


def _wait(api: Api, task_id: str, task_type: str, wait_seconds: float, as_json: bool) -> int:
    """Follow a task, print what it came to, and return the exit status that says how it ended."""
    click.echo(f"task {task_id}", err=True)
    try:
        record = wait_for(api.client, task_id, task_type, wait_seconds)
    except (KeyboardInterrupt, WaitOver):
        click.echo(f"the task goes on: dtqs task {task_id}", err=True)
        raise
    with may_be_unread():
        if as_json:
            print_json(record)
        else:
            show_result(record, api.endpoint)
    return exit_status(record)
