"""The command `retry`."""

from typing import Any

import click

from dtqs.cli.bulk import BULK_STATUSES, change, choosing
from dtqs.task import Status


@click.command(epilog=BULK_STATUSES)
@click.argument("task_ids", nargs=-1, metavar="[ID]...")
@click.option("--failed", is_flag=True, help="All that have failed, newest first.")
@click.option("--cancelled", is_flag=True, help="All that were cancelled.")
@choosing
def retry(task_ids: tuple[str, ...], failed: bool, cancelled: bool, **choice: Any) -> None:
    """Submit failed or cancelled tasks anew; prints the id of each new task.

    An outcome stays an outcome: the new task names the old one (retry_of). What was retried once already is not
    submitted twice: its new task is shown.

    \b
      dtqs retry 019a8b6c-2f5e-7c31-9d1f-0e6a5b7c8d90
      dtqs retry --failed --type image --tag holiday
    """
    statuses = [Status.FAILED] * failed + [Status.CANCELLED] * cancelled
    change(
        "retry",
        task_ids,
        statuses,
        "--failed or --cancelled",
        lambda client, task_id: client.retry(task_id).json,
        choice,
    )
