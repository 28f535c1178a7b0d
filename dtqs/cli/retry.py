"""The command `retry`."""

from typing import Any

import click

from dtqs.cli.bulk import BULK_STATUSES, change, choosing
from dtqs.task import Status


@click.command(epilog=BULK_STATUSES)
@click.argument("task_ids", nargs=-1, metavar="[ID]...")
@click.option("--failed", is_flag=True, help="All failed tasks, newest first.")
@click.option("--cancelled", is_flag=True, help="All cancelled tasks.")
@choosing
def retry(task_ids: tuple[str, ...], failed: bool, cancelled: bool, **choice: Any) -> None:
    """Submit failed or cancelled tasks again, and print the id of each new task.

    The old task keeps its outcome; the new task names it in retry_of. A task that was retried before is not submitted
    twice: by its id, its existing new task is shown; --failed and --cancelled leave it out.

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
