"""The commands that change something: submit, cancel, retry. They talk HTTP to the API, here or anywhere."""

import mimetypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dtqs.cli import payload as payloads
from dtqs.cli.calls import Api
from dtqs.cli.output import print_json, size
from dtqs.cli.payload import PayloadError, Upload
from dtqs.cli.refusal import ApiRefusal, WaitOver
from dtqs.cli.show import show_result
from dtqs.cli.tasks_options import checked_id, json_option, opened_api, wait_seconds_option
from dtqs.cli.wait import exit_status, wait_for
from dtqs.log import visible
from dtqs.task import PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN
from dtqs.uuid7 import uuid7

STATUSES = """Exit status: 0 completed, 1 failed, 2 refused or wrongly used, 3 cancelled, 69 the API is not available,
75 the wait has reached its limit (the task goes on) or the API asks to come back later, 77 the key is not good for this, 78 configuration."""


@click.command(epilog=STATUSES)
@click.argument("task_type", metavar="TYPE")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--payload", "-p", "options", multiple=True, metavar="JSON|@FILE|KEY=VALUE", help="The payload, or a part of it; @- reads standard input.")
@click.option("--priority", type=click.IntRange(PRIORITY_MIN, PRIORITY_MAX), help=f"9 is first.  [default: {PRIORITY_DEFAULT}]")
@click.option("--max-retries", type=int, metavar="N", help="Retries after the first attempt.  [default: the type's]")
@click.option("--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Time limit of an attempt.  [default: the type's]")
@click.option("--delay", "delay_seconds", type=float, metavar="SECONDS", help="Run it no sooner than this from now.")
@click.option("--due-at", metavar="TIME", help="Run it no sooner than this: 2026-12-24T18:00:00+01:00.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be repeated.")
@click.option("--idempotency-key", metavar="KEY", help="The same key again returns the first task.  [default: a fresh one]")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@wait_seconds_option
@json_option
def submit(
    task_type: str, pairs: tuple[str, ...], options: tuple[str, ...], idempotency_key: str | None, wait: bool, wait_seconds: float, as_json: bool, **fields: Any
) -> None:
    """Submit a task of TYPE; with --wait, follow it to its end.

    The payload is made of KEY=VALUE pairs: a value is JSON if it reads as such, else text; @PATH uploads that file and puts
    its URI there; dots lead inside:

    \b
      dtqs submit echo greeting=hello --wait
      dtqs submit image source=@photo.jpg outputs.0.name=small outputs.0.width=400 --wait
      dtqs submit image --payload @payload.json --tag holiday
    """
    task = {"task_type": task_type} | {name: each for name, each in fields.items() if each not in (None, ())}
    payload = payloads.build(options, pairs, _read)
    with opened_api() as api:
        uris = {upload: _upload(api, upload) for upload in payloads.uploads(payload)}
        task["payload"] = payloads.resolve(payload, uris.__getitem__)
        accepted = api.submit(task, idempotency_key or f"dtqs-{uuid7()}")
        if wait:
            sys.exit(_wait(api, accepted["task_id"], task_type, wait_seconds, as_json))
    if as_json:
        print_json(accepted)
    else:
        click.echo(accepted["task_id"])


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PayloadError(f"--payload @{name}: {error}") from error


def _upload(api: Api, upload: Upload) -> str:
    """Upload a file under a progress bar; return its URI."""
    path = upload.path
    if not path.is_file():
        raise PayloadError(f"@{path}: there is no such file")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    label = f"upload {path.name} ({size(path.stat().st_size)})"
    try:
        with click.progressbar(length=path.stat().st_size, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            return str(api.upload(path, media_type, bar.update)["uri"])
    except OSError as error:
        raise PayloadError(f"@{path}: {error}") from error


def _wait(api: Api, task_id: str, task_type: str, wait_seconds: float, as_json: bool) -> int:
    """Follow a task, print what it came to, and return the exit status that says how it ended."""
    click.echo(f"task {task_id}", err=True)
    try:
        record = wait_for(api, task_id, task_type, wait_seconds)
    except (KeyboardInterrupt, WaitOver):
        click.echo(f"the task goes on: dtqs task {task_id}", err=True)
        raise
    if as_json:
        print_json(record)
    else:
        show_result(record, api)
    return exit_status(record)


@click.command()
@click.argument("task_ids", nargs=-1, required=True, metavar="ID...")
@json_option
def cancel(task_ids: tuple[str, ...], as_json: bool) -> None:
    """Cancel tasks: pending ones at once, running ones are interrupted."""
    _each(task_ids, lambda api, task_id: api.cancel(task_id), as_json)


@click.command()
@click.argument("task_ids", nargs=-1, required=True, metavar="ID...")
@json_option
def retry(task_ids: tuple[str, ...], as_json: bool) -> None:
    """Submit failed or cancelled tasks anew; prints the id of each new task."""
    _each(task_ids, lambda api, task_id: api.post(f"/tasks/{task_id}/retry"), as_json)


def _each(task_ids: Sequence[str], ask: Callable[[Api, str], Any], as_json: bool) -> None:
    """Ask for one thing about each task in turn; a refusal of one does not stop the others, and is the exit status."""
    status, answers = 0, list[Any]()
    with opened_api() as api:
        for task_id in map(checked_id, task_ids):
            try:
                answers.append(ask(api, task_id))
            except ApiRefusal as error:
                status = error.exit_status
                click.echo(f"{task_id}: {visible(str(error))}", err=True)
            else:
                if not as_json:
                    click.echo(f"{answers[-1]['task_id']} {answers[-1]['status']}")
    if as_json:
        print_json(answers)
    sys.exit(status)
