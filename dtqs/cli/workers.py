"""The command `workers`, and the cells of a worker in a table."""

from dataclasses import asdict

import click

from dtqs.amounts import age, size
from dtqs.cli.options import json_option
from dtqs.cli.output import print_json, print_table
from dtqs.cli.reading import READING_STATUSES, print_alarms, read_system
from dtqs.masking import masked_text
from dtqs.readings import WorkerReading

WORKER_COLUMNS = (
    "worker",
    "node",
    "pid",
    "state",
    "type",
    "task",
    "for",
    "progress",
    "memory",
    "done",
    "failed",
    "heartbeat",
)
WORKER_SPARE = ("memory", "done", "failed", "heartbeat", "progress", "node", "for", "type")
"""Columns that a narrow terminal drops, in this order."""


@click.command(epilog=READING_STATUSES)
@json_option
def workers(as_json: bool) -> None:
    """List the worker processes of all nodes: the task of each, its running time and its progress.

    \b
      dtqs workers
      dtqs workers --json | jq -r '.workers[] | select(.state == "busy") | .task_id'
    """
    reading = read_system(0)
    found = reading.workers or ()
    if as_json:
        print_json({"workers": [asdict(worker) for worker in found], "more_workers": reading.more_workers})
    else:
        print_table(WORKER_COLUMNS, [worker_row(worker) for worker in found], spare=WORKER_SPARE)
        if reading.more_workers:
            click.echo(f"and {reading.more_workers:,} more", err=True)
    print_alarms(reading)


def worker_row(worker: WorkerReading) -> tuple[str | None, ...]:
    """Return the cells of a worker, in the order of WORKER_COLUMNS."""
    return (
        f"{worker.pool}/{worker.slot}",
        worker.node_name,
        str(worker.pid),
        worker.state,
        worker.task_type,
        worker.task_id,
        None if worker.busy_seconds is None else age(worker.busy_seconds),
        None if worker.fraction is None else masked_text(f"{worker.fraction:.0%} {worker.message or ''}".strip()),
        None if worker.memory_bytes is None else size(worker.memory_bytes),
        f"{worker.completed:,}",
        f"{worker.failed:,}",
        f"{age(worker.age_seconds)} ago",
    )
