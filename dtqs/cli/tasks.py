"""The command `tasks`."""

from datetime import UTC, datetime

import click

from dtqs.cli.options import json_option
from dtqs.cli.output import print_json
from dtqs.cli.show import show_tasks
from dtqs.cli.tasks_options import opened_api, refuse_unknown_type
from dtqs.client import Client, Task
from dtqs.client.client import PAGE_LIMIT
from dtqs.deadline import Deadline
from dtqs.task import Status
from dtqs.uuid7 import made_at

LOOK_SECONDS = 10.0
"""So long pages are asked for until a listing is full: each looks at a bounded number of rows, some thousand, and may find none."""


@click.command()
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only these.")
@click.option("--type", "task_type", metavar="TYPE", help="Only tasks of this type.")
@click.option("--tag", help="Only tasks with this tag.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@click.option("--after", metavar="CURSOR", help="Go on where a listing ended.")
@json_option
def tasks(limit: int, after: str | None, as_json: bool, **wanted: str | None) -> None:
    """List tasks, newest first; for ten seconds at most, which is some hundred thousand tasks where few fit.

    \b
      dtqs tasks
      dtqs tasks --status failed --type image --limit 100
      dtqs tasks --tag holiday --json | jq -r '.tasks[].task_id'
    """
    with opened_api() as api:
        found, following = _list(api.client, wanted, limit, after)
        if not found and not following:
            refuse_unknown_type(api.client, wanted["task_type"])
    records = [task.json for task in found]
    if as_json:
        print_json({"tasks": records, "next": following})
        return
    show_tasks(records)
    if following and len(found) < limit:
        back_to = datetime.fromtimestamp(made_at(following), UTC)
        click.echo(
            f"looked through the tasks back to {back_to:%Y-%m-%dT%H:%M:%SZ}; for older ones: --after {following}",
            err=True,
        )
    elif following:
        click.echo(f"there may be more: --after {following}", err=True)


def _list(
    client: Client, wanted: dict[str, str | None], limit: int, after: str | None
) -> tuple[list[Task], str | None]:
    """Ask for pages until there are `limit` tasks, or it has taken long; return them and where to go on."""
    found, deadline = list[Task](), Deadline(LOOK_SECONDS)
    while True:
        page = client.page(**wanted, limit=min(limit - len(found), PAGE_LIMIT), after=after)
        found += page.tasks
        after = page.after
        if after is None or len(found) >= limit or deadline.passed:
            break
    return found, after
