"""The command `tasks`."""

from datetime import datetime

import click

from dtqs.cli.options import json_option
from dtqs.cli.output import print_json
from dtqs.cli.show import show_tasks
from dtqs.cli.tasks_options import opened_api, refuse_unknown_type
from dtqs.client import Client, Task
from dtqs.client.client import PAGE_LIMIT
from dtqs.deadline import Deadline
from dtqs.task import Status

LOOK_SECONDS = 10.0
"""Time limit of a listing. Each page searches some thousand tasks and may find none."""
_UTC = "%Y-%m-%dT%H:%M:%SZ"


@click.command()
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only tasks with this status.")
@click.option("--type", "task_type", metavar="TYPE", help="Only tasks of this type.")
@click.option("--tag", help="Only tasks with this tag.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Maximum number of tasks to list."
)
@click.option("--after", metavar="CURSOR", help="Continue an earlier listing.")
@json_option
def tasks(limit: int, after: str | None, as_json: bool, **wanted: str | None) -> None:
    """List tasks, newest first. If few tasks match, the search ends after ten seconds, some million tasks.

    \b
      dtqs tasks
      dtqs tasks --status failed --type image --limit 100
      dtqs tasks --tag holiday --json | jq -r '.tasks[].task_id'
    """
    with opened_api() as api:
        found, following, searched_to = _list(api.client, wanted, limit, after)
        if not found and not following:
            refuse_unknown_type(api.client, wanted["task_type"])
    records = [task.json for task in found]
    if as_json:
        print_json({"tasks": records, "next": following, "searched_to": searched_to and searched_to.strftime(_UTC)})
        return
    show_tasks(records)
    if following and searched_to and len(found) < limit:
        click.echo(f"searched back to {searched_to.strftime(_UTC)}; for older tasks: --after {following}", err=True)
    elif following:
        click.echo(f"there may be more tasks: --after {following}", err=True)


def _list(
    client: Client, wanted: dict[str, str | None], limit: int, after: str | None
) -> tuple[list[Task], str | None, datetime | None]:
    """Read pages until `limit` tasks are found or LOOK_SECONDS have passed.

    Return the tasks, the next cursor, and how far the pages have searched.
    """
    found, deadline = list[Task](), Deadline(LOOK_SECONDS)
    while True:
        page = client.page(**wanted, limit=min(limit - len(found), PAGE_LIMIT), after=after)
        found += page.tasks
        after = page.after
        if after is None or len(found) >= limit or deadline.passed:
            break
    return found, after, page.searched_to
