"""The command `queue`, and the depth of the backlog as text."""

from dataclasses import asdict

import click

from dtqs.amounts import age, plural, to_the_second
from dtqs.cli.options import json_option
from dtqs.cli.output import print_json, print_table
from dtqs.cli.reading import READING_STATUSES, print_alarms, read_system
from dtqs.readings import Depth, QueuedTask, Reading
from dtqs.routes import QUEUE

MORE = "+"
"""Follows a count that stopped at its limit."""
QUEUE_COLUMNS = ("task", "type", "priority", "submitted", "due", "attempts", "tags")
QUEUE_SPARE = ("tags", "attempts", "submitted", "due", "priority")


@click.command(epilog=READING_STATUSES)
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=5,
    show_default=True,
    help="Maximum number of next tasks, and of later tasks, to list.",
)
@json_option
def queue(limit: int, as_json: bool) -> None:
    """Show the backlog: pending tasks by priority and type, the next tasks, and the tasks that are due later.

    \b
      dtqs queue
      dtqs queue --limit 50
      dtqs queue --json | jq .depth.pending
    """
    reading = read_system(limit)
    if as_json:
        names = ("depth", "queue", "queues", "next_tasks", "later_tasks", "alarms")
        print_json({name: value for name, value in asdict(reading).items() if name in names})
    else:
        _show_queue(reading)
    print_alarms(reading)


def queued_row(task: QueuedTask) -> tuple[str | None, ...]:
    """Return the cells of a waiting task, in the order of QUEUE_COLUMNS."""
    times = (to_the_second(task.submitted_at), to_the_second(task.due_at))
    return (task.task_id, task.task_type, str(task.priority), *times, str(task.attempts), ",".join(task.tags) or None)


def depth_text(depth: Depth) -> str:
    """Write on one line how many tasks are pending, due later and in progress."""
    more = MORE if depth.more else ""
    oldest = "" if depth.oldest_seconds is None else f", the oldest for {age(depth.oldest_seconds)}"
    later = f"{depth.later:,}{more} later (scheduled, or waiting for a retry)"
    return f"{depth.pending:,}{more} pending{oldest}; {later}; {depth.in_progress:,} in progress"


def _show_queue(reading: Reading) -> None:
    depth = reading.depth
    if depth is None:
        return
    click.echo(depth_text(depth))
    for queue in reading.queues or ():
        consumers = plural(queue.consumers, "consumer")
        name = "" if queue.name == QUEUE else f", {queue.name}"
        click.echo(f"RabbitMQ{name}: {plural(queue.ready, 'hint')} of one or more tasks each; {consumers}")
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
