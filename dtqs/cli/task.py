"""The command `task`."""

import sys

import click

from dtqs.cli.options import json_option
from dtqs.cli.output import print_json
from dtqs.cli.show import show_task
from dtqs.cli.tasks_options import opened_api
from dtqs.cli.unread import may_be_unread
from dtqs.cli.wait import exit_status


@click.command(epilog="Exit status: 0 completed or not ended yet, 1 failed, 3 cancelled; others as for submit.")
@click.argument("task_id", metavar="ID")
@json_option
def task(task_id: str, as_json: bool) -> None:
    """Show one task: its fields, payload, progress, and result or error.

    \b
      dtqs task 019a8b6c-2f5e-7c31-9d1f-0e6a5b7c8d90
      dtqs task $ID --json | jq .result
    """
    with opened_api() as api:
        record = api.client.task(task_id).json
        with may_be_unread():
            if as_json:
                print_json(record)
            else:
                show_task(record, api.endpoint)
    sys.exit(exit_status(record))
