"""The command `cancel`."""

from typing import Any

import click

from dtqs.cli.bulk import BULK_STATUSES, change, choosing
from dtqs.task import Status


@click.command(epilog=BULK_STATUSES)
@click.argument("task_ids", nargs=-1, metavar="[ID]...")
@click.option("--pending", is_flag=True, help="All pending tasks, newest first.")
@click.option("--in-progress", "in_progress", is_flag=True, help="All running tasks.")
@choosing
def cancel(task_ids: tuple[str, ...], pending: bool, in_progress: bool, **choice: Any) -> None:
    """Cancel tasks. A pending task ends at once; a running task is interrupted.

    \b
      dtqs cancel 019a8b6c-2f5e-7c31-9d1f-0e6a5b7c8d90
      dtqs cancel --pending --type video
    """
    statuses = [Status.PENDING] * pending + [Status.IN_PROGRESS] * in_progress
    change(
        "cancel",
        task_ids,
        statuses,
        "--pending or --in-progress",
        lambda client, task_id: client.cancel(task_id).json,
        choice,
    )
