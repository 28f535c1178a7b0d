"""The command `logs`: the log of one task from the API, or the newest rows of all tasks from the database."""

import math
import sys
from typing import Any

import click
from click.core import ParameterSource

from dtqs.cli.options import json_option
from dtqs.cli.output import json_text
from dtqs.cli.show import log_line
from dtqs.cli.tasks_options import opened_api, wait_seconds_option
from dtqs.cli.wait import exit_status
from dtqs.deadline import Deadline
from dtqs.event import LEVELS

ENTRIES_LIMIT = 1000


@click.command(epilog="Exit status: 0; with ID and --follow: 0 completed, 1 failed, 3 cancelled; others as for submit.")
@click.argument("task_id", metavar="[ID]", required=False)
@click.option(
    "--follow",
    "-f",
    "following",
    is_flag=True,
    help="Print new rows too: until the task ends, or without ID until Ctrl-C or for --wait-seconds, if given.",
)
@click.option("--level", type=click.Choice(LEVELS), help="Only rows of this level or above.")
@click.option(
    "--search",
    metavar="TEXT",
    help="Only rows with this text in message or data, or of this event; without ID also of a task whose id begins so.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, ENTRIES_LIMIT),
    default=50,
    show_default=True,
    help="Without ID: number of newest rows to begin with.",
)
@wait_seconds_option
@json_option
def logs(
    task_id: str | None,
    following: bool,
    level: str | None,
    search: str | None,
    limit: int,
    wait_seconds: float,
    as_json: bool,
) -> None:
    """Show the log of a task, or the newest rows of all tasks. --json prints one JSON object per line.

    The log of one task comes from the API. The log of all tasks comes from the database in the configuration.

    \b
      dtqs logs 019a8b6c-2f5e-7c31-9d1f-0e6a5b7c8d90 --follow
      dtqs logs --follow --level warning
      dtqs logs --search refused --limit 200
    """
    if task_id is None:
        # loads the drivers of both servers; the log of one task does not need them
        from dtqs.cli.all_logs import print_entries

        is_given = click.get_current_context().get_parameter_source("wait_seconds") is not ParameterSource.DEFAULT
        print_entries(following, level, search, limit, Deadline(wait_seconds if is_given else math.inf), as_json)
        return
    with opened_api() as api:
        for row in api.client.logs(task_id, following=following, wait_seconds=wait_seconds):
            if _matches(row.json, level, search):
                click.echo(json_text(row.json) if as_json else log_line(row.json))
        if following:
            sys.exit(exit_status(api.client.task(task_id).json))


def _matches(row: dict[str, Any], level: str | None, search: str | None) -> bool:
    is_shown = level is None or row["level"] not in LEVELS or LEVELS.index(row["level"]) >= LEVELS.index(level)
    texts = (row.get("message") or "", "" if row.get("data") is None else json_text(row["data"]))
    return is_shown and (
        search is None or row["event"] == search or any(search.lower() in text.lower() for text in texts)
    )
