"""The commands workers and queue: one reading of the whole system, from PostgreSQL and RabbitMQ themselves, for who has its configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from dtqs.amounts import plural, size
from dtqs.cli.admin import opened_store
from dtqs.cli.options import configuration, json_option
from dtqs.cli.output import painted, print_json, print_table
from dtqs.config import Config
from dtqs.errors import StoreUnavailable
from dtqs.log import visible
from dtqs.masking import masked_text
from dtqs.readings import Depth, QueuedTask, Reading, SystemReader, WorkerReading
from dtqs.readings.alarms import age

STATUSES = "Exit status: 0 as long as PostgreSQL answers, else 69; 78 configuration. What is wrong otherwise is told on standard error."
MORE = "+"
"""Behind a count that stopped at its limit."""


@contextmanager
def opened_reader(config: Config, name: str) -> Iterator[SystemReader]:
    """Open a reader for a command. Raises StoreUnavailable at once where PostgreSQL cannot be reached."""
    with opened_store(config, name) as store:
        reader = SystemReader(store, config.rabbitmq, name)
        try:
            yield reader
        finally:
            reader.close()


@click.command(epilog=STATUSES)
@json_option
def workers(as_json: bool) -> None:
    """List the worker processes of all nodes: what each does, for how long, and how far it is.

    \b
      dtqs workers
      dtqs workers --json | jq -r '.workers[] | select(.state == "busy") | .task_id'
    """
    reading = _read(0)
    found = reading.workers or ()
    if as_json:
        print_json({"workers": [asdict(worker) for worker in found], "more_workers": reading.more_workers})
    else:
        print_table(WORKER_COLUMNS, [worker_row(worker) for worker in found], spare=WORKER_SPARE)
        if reading.more_workers:
            click.echo(f"and {reading.more_workers:,} more", err=True)
    _tell_alarms(reading)


@click.command(epilog=STATUSES)
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=5,
    show_default=True,
    help="Show at most so many of the next and of the later tasks.",
)
@json_option
def queue(limit: int, as_json: bool) -> None:
    """Show what waits: how much of which priority and type, the next tasks, and those that are due later.

    \b
      dtqs queue
      dtqs queue --limit 50
      dtqs queue --json | jq .depth.pending
    """
    reading = _read(limit)
    if as_json:
        names = ("depth", "queue", "next_tasks", "later_tasks", "alarms")
        print_json({name: value for name, value in asdict(reading).items() if name in names})
    else:
        _show_queue(reading)
    _tell_alarms(reading)


def _read(limit: int) -> Reading:
    """Raises StoreUnavailable."""
    with opened_reader(configuration(needed=True), "dtqs") as reader:
        reading = reader.read(limit, limit)
    if reading.database.state == "away":
        raise StoreUnavailable(f"PostgreSQL: {reading.database.words}")
    return reading


def _tell_alarms(reading: Reading) -> None:
    for alarm in reading.alarms:
        click.echo(painted(f"! {visible(alarm)}", "error", err=True), err=True)


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
"""What a narrow terminal does without, the first ones first."""


def worker_row(worker: WorkerReading) -> tuple[str | None, ...]:
    """Write one worker as the cells of WORKER_COLUMNS."""
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


QUEUE_COLUMNS = ("task", "type", "priority", "submitted", "due", "attempts", "tags")
QUEUE_SPARE = ("tags", "attempts", "submitted", "due", "priority")


def queued_row(task: QueuedTask) -> tuple[str | None, ...]:
    """Write one waiting task as the cells of QUEUE_COLUMNS."""
    times = (task.submitted_at[:19] + "Z", task.due_at[:19] + "Z")
    return (task.task_id, task.task_type, str(task.priority), *times, str(task.attempts), ",".join(task.tags) or None)


def depth_words(depth: Depth) -> str:
    """Say how much waits and runs, on one line."""
    more = MORE if depth.more else ""
    oldest = "" if depth.oldest_seconds is None else f", the oldest for {age(depth.oldest_seconds)}"
    return f"{depth.pending:,}{more} pending{oldest}; {depth.later:,}{more} later (scheduled, or to be retried); {depth.in_progress:,} in progress"


def _show_queue(reading: Reading) -> None:
    depth = reading.depth
    if depth is None:
        return
    click.echo(depth_words(depth))
    if reading.queue is not None:
        click.echo(
            f"RabbitMQ: {plural(reading.queue.ready, 'hint')}, of one or more tasks each; {plural(reading.queue.consumers, 'consumer')}"
        )
    if depth.pending:
        click.echo()
        print_table(
            ("priority", "pending"),
            [(str(i), f"{count:,}") for i, count in reversed(list(enumerate(depth.by_priority))) if count],
        )
        click.echo()
        print_table(("type", "pending"), [(name, f"{count:,}") for name, count in depth.by_type])
    for title, found in (("next", reading.next_tasks), ("later", reading.later_tasks)):
        if found:
            click.echo(f"\n{title}:")
            print_table(QUEUE_COLUMNS, [queued_row(task) for task in found], spare=QUEUE_SPARE)
