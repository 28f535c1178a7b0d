"""The commands that look: task, tasks, logs."""

import sys

import click
import orjson

from dtqs.cli.calls import Api
from dtqs.cli.output import print_json
from dtqs.cli.show import log_line, show_task, show_tasks
from dtqs.cli.stream import follow
from dtqs.cli.tasks_options import checked_id, json_option, opened_api, wait_seconds_option
from dtqs.cli.wait import exit_status
from dtqs.deadline import Deadline
from dtqs.task import OUTCOMES, Status

PAGE_LIMIT = 1000
"""Most tasks or log rows that are asked for at once."""


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
@click.option("--limit", type=click.IntRange(1, PAGE_LIMIT), default=20, show_default=True, help="At most so many.")
@click.option("--after", metavar="CURSOR", help="Go on where a page ended.")
@json_option
def tasks(status: str | None, task_type: str | None, tag: str | None, limit: int, after: str | None, as_json: bool) -> None:
    """List tasks, newest first."""
    with opened_api() as api:
        page = api.get("/tasks", {"status": status, "task_type": task_type, "tag": tag, "limit": limit, "after": after})
    if as_json:
        print_json(page)
        return
    show_tasks(page["tasks"])
    if page.get("after"):
        click.echo(f"there may be more: --after {page['after']}", err=True)


@click.command(epilog="Exit status: 0; with --follow it says how the task ended: 0 completed, 1 failed, 3 cancelled; others as with submit.")
@click.argument("task_id", metavar="ID")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the task has ended.")
@wait_seconds_option
@json_option
def logs(task_id: str, following: bool, wait_seconds: float, as_json: bool) -> None:
    """Show the log of a task; with --json, a JSON object a line."""
    with opened_api() as api:
        last = _print_logs(api, checked_id(task_id), 0, as_json)
        if not following:
            return
        # the stream says when to look again; the log itself has more in it than the stream
        for message in follow(lambda event_id: api.stream([task_id], event_id), Deadline(wait_seconds), lambda _: None):
            last = _print_logs(api, task_id, last, as_json)
            if message.event in OUTCOMES:
                break
        sys.exit(exit_status(api.get(f"/tasks/{task_id}")))


def _print_logs(api: Api, task_id: str, last: int, as_json: bool) -> int:
    """Print what is new behind a log id; return the last one."""
    while True:
        rows = api.get(f"/tasks/{task_id}/logs", {"after": last, "limit": PAGE_LIMIT})["logs"]
        for row in rows:
            last = max(last, row["log_id"])
            click.echo(orjson.dumps(row).decode() if as_json else log_line(row))
        if len(rows) < PAGE_LIMIT:
            return last
