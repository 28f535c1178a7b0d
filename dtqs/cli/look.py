"""The commands that look: task, tasks, logs."""

import sys
import time
from contextlib import suppress
from typing import Any

import click

from dtqs.cli.calls import Api
from dtqs.cli.output import json_text, print_json
from dtqs.cli.refusal import ApiUnavailable, WaitOver
from dtqs.cli.show import log_line, show_task, show_tasks
from dtqs.cli.tasks_options import checked_id, json_option, opened_api, wait_seconds_option
from dtqs.cli.wait import exit_status
from dtqs.deadline import Deadline
from dtqs.task import OUTCOMES, Status

PAGE_LIMIT = 200
"""Most tasks that the API gives at once."""
TURNS_LIMIT = 50
"""Most pages that are asked for until a listing is full: each looks at a bounded number of rows, and may find none."""
LOGS_LIMIT = 1000
FOLLOW_SECONDS = 0.5
"""Between two looks at a log that is followed: the stream of events leaves out what a processor logs, so there is nothing to wait for."""


@click.command(epilog="Exit status: 0 completed or not ended yet, 1 failed, 3 cancelled; others as with submit.")
@click.argument("task_id", metavar="ID")
@json_option
def task(task_id: str, as_json: bool) -> None:
    """Show one task."""
    with opened_api() as api:
        record = api.get(f"/tasks/{checked_id(task_id)}")
        if as_json:
            print_json(record)
        else:
            show_task(record, api)
    sys.exit(exit_status(record))


@click.command()
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only these.")
@click.option("--type", "task_type", metavar="TYPE", help="Only tasks of this type.")
@click.option("--tag", help="Only tasks with this tag.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@click.option("--after", metavar="CURSOR", help="Go on where a listing ended.")
@json_option
def tasks(status: str | None, task_type: str | None, tag: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """List tasks, newest first."""
    with opened_api() as api:
        found, following = _list(api, {"status": status, "task_type": task_type, "tag": tag}, limit, after)
    if as_json:
        print_json({"tasks": found, "next": following})
        return
    show_tasks(found)
    if following:
        click.echo(f"there may be more: --after {following}", err=True)


def _list(api: Api, wanted: dict[str, Any], limit: int, after: str | None) -> tuple[list[Any], str | None]:
    """Ask for pages until there are `limit` tasks; return them and where to go on."""
    found: list[Any] = []
    for _ in range(TURNS_LIMIT):
        page = api.get("/tasks", wanted | {"limit": min(limit - len(found), PAGE_LIMIT), "after": after})
        found += page["tasks"]
        after = page["next"]
        if after is None or len(found) >= limit:
            break
    return found, after


@click.command(epilog="Exit status: 0; with --follow it says how the task ended: 0 completed, 1 failed, 3 cancelled; others as with submit.")
@click.argument("task_id", metavar="ID")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the task has ended.")
@wait_seconds_option
@json_option
def logs(task_id: str, following: bool, wait_seconds: float, as_json: bool) -> None:
    """Show the log of a task; with --json, a JSON object a line."""
    deadline = Deadline(wait_seconds)
    with opened_api() as api:
        last = _print_logs(api, checked_id(task_id), 0, as_json)
        while following:
            with suppress(ApiUnavailable):  # it comes back, or the deadline does
                record = api.get(f"/tasks/{task_id}")
                last = _print_logs(api, task_id, last, as_json)
                if record["status"] in OUTCOMES:
                    sys.exit(exit_status(record))
            if deadline.passed:
                raise WaitOver
            time.sleep(min(FOLLOW_SECONDS, deadline.remaining))


def _print_logs(api: Api, task_id: str, last: int, as_json: bool) -> int:
    """Print what is new behind a log id; return the last one."""
    while True:
        page = api.get(f"/tasks/{task_id}/logs", {"after": last, "limit": LOGS_LIMIT})
        for row in page["logs"]:
            last = row["id"]
            click.echo(json_text(row) if as_json else log_line(row))
        if page["next"] is None:
            return last
