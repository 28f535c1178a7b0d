"""The command `submit`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dtqs.amounts import size
from dtqs.cli import payload as payloads
from dtqs.cli.hints import hinted
from dtqs.cli.options import Seconds, json_option
from dtqs.cli.output import print_json
from dtqs.cli.payload import LocalUpload, PayloadError
from dtqs.cli.show import show_result
from dtqs.cli.tasks_options import Api, opened_api, wait_seconds_option
from dtqs.cli.unread import may_be_unread
from dtqs.cli.wait import Reconnects, exit_status, wait_for
from dtqs.client import ApiRefusal, WaitOver
from dtqs.task import PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN

STATUSES = """Exit status: 0 submitted, or completed with --wait; 1 failed; 2 wrong usage, or refused; 3 cancelled;
69 the API is unavailable; 75 the wait reached its limit (the task goes on), or the API asks to try again later;
77 the API key is missing or not allowed to do this; 78 configuration."""


@click.command(epilog=STATUSES)
@click.argument("task_type", metavar="TYPE")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--payload",
    "-p",
    "options",
    multiple=True,
    metavar="JSON|@FILE|KEY=VALUE",
    help="The payload, or a part of it. @- reads standard input.",
)
@click.option(
    "--priority", type=click.IntRange(PRIORITY_MIN, PRIORITY_MAX), help=f"9 runs first.  [default: {PRIORITY_DEFAULT}]"
)
@click.option(
    "--max-retries", type=int, metavar="N", help="Most retries after the first attempt.  [default: set by the type]"
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=Seconds(0),
    metavar="SECONDS",
    help="Time limit of an attempt.  [default: set by the type]",
)
@click.option("--delay", "delay_seconds", type=Seconds(0), metavar="SECONDS", help="Run the task after this delay.")
@click.option("--due-at", metavar="TIME", help="Run the task after this time: 2026-12-24T18:00:00+01:00.")
@click.option("--tag", "tags", multiple=True, help="Tag to find the task by. May be repeated.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="A second submit with this key returns the first task.  [default: a new key]",
)
@click.option("--wait", is_flag=True, help="Follow the task to its end.")
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
    """Submit a task of TYPE. --wait follows it to its end.

    KEY=VALUE pairs make the payload. A JSON object, or @FILE with one, may come first. A value is JSON if it is valid
    JSON, else text. The value @PATH uploads that file and becomes its URI. Dots in a key lead into objects and lists:

    \b
      dtqs submit echo greeting=hello --wait
      dtqs submit image source=@photo.jpg outputs.0.name=small outputs.0.width=400 --wait
      dtqs submit image --payload @payload.json --tag holiday
      dtqs submit email to.0=ada@example.com subject=Hello text=Hi --delay 600
      ID=$(dtqs submit echo a=1) && dtqs task $ID
    """
    # not left to the API, which would see a surrogate in JSON; a path may have any bytes
    for text in (task_type, *fields["tags"], fields["due_at"] or "", *pairs, *options):
        ("" if text.startswith("@") else text.partition("=@")[0]).encode()
    payload = payloads.build(options, pairs, _read)
    with opened_api() as api:
        uris = {upload: _upload(api, upload) for upload in payloads.uploads(payload)}
        try:
            resolved = payloads.resolve(payload, uris.__getitem__)
            if wait:
                sys.exit(_wait(api, task_type, resolved, wait_seconds, as_json, fields))
            accepted = api.client.submit(task_type, resolved, **fields)
        except ApiRefusal as error:
            raise hinted(error, pairs) from error
    if as_json:
        print_json(accepted.json)
    else:
        click.echo(accepted.task_id)


def _read(name: str) -> str:
    try:
        # JSON is UTF-8, whatever the locale says about standard input
        return sys.stdin.buffer.read().decode() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise PayloadError(f"--payload @{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PayloadError(f"--payload @{name}: this is not UTF-8 text: {error}") from error


def _upload(api: Api, upload: LocalUpload) -> str:
    """Upload a file with a progress bar. Return its URI."""
    path = upload.path
    try:
        if path.is_dir():
            raise PayloadError(f"@{path} is a folder; give a file")
        if not path.is_file():
            raise PayloadError(
                f"@{path}: {'this is not a regular file' if path.exists() else 'the file does not exist'}"
            )
        label = f"upload {path.name} ({size(path.stat().st_size)})"
        with click.progressbar(
            length=path.stat().st_size, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            return api.client.upload(path, sent=bar.update).uri
    except OSError as error:
        raise PayloadError(f"@{path}: {error.strerror or error}") from error


def _wait(api: Api, task_type: str, payload: Any, wait_seconds: float, as_json: bool, fields: Mapping[str, Any]) -> int:
    """Submit and follow a task in one request, print its outcome, and return the exit status for it."""
    reconnects = Reconnects()
    events = api.client.submit_stream(task_type, payload, wait_seconds=wait_seconds, lost=reconnects, **fields)
    task_id = next(events).task_id
    click.echo(f"task {task_id}", err=True)
    try:
        record = wait_for(api.client, task_id, task_type, events, reconnects)
    except (KeyboardInterrupt, WaitOver):
        click.echo(f"the task goes on: dtqs task {task_id}", err=True)
        raise
    with may_be_unread():
        if as_json:
            print_json(record)
        else:
            show_result(record, api.endpoint)
    return exit_status(record)
