"""The command `top`: the whole system on one live page. Pure functions build the page from readings."""

import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dtqs.amounts import age, moment, plural
from dtqs.cli.cells import STYLES, cell_text
from dtqs.cli.options import Seconds, configuration, json_option
from dtqs.cli.output import print_json
from dtqs.cli.queue import depth_text
from dtqs.cli.reading import opened_reader
from dtqs.cli.workers import worker_row
from dtqs.console.lines import spark
from dtqs.log import visible
from dtqs.masking import masked_text
from dtqs.readings import History, QueuedTask, Reading, SystemReader, WorkerCounts

POINTS = 30
ROWS_BESIDE = 15
"""Lines of the page that are not rows of a table."""
_ALARMS_LIMIT = 8
"""Most alarms on the page: the tables need the other lines."""
_RATES = ("submitted", "started", "completed", "failed", "retried")
QUIT = b"q"
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)?")
_KEYS_BYTES = 1024
_WIDE = 110
"""Least width of the terminal, in columns, for the whole page."""
_NARROW_WORKERS = (("worker", 0), ("state", 3), ("type", 4), ("for", 6), ("task", 5), ("progress", 7))
_WORKERS = (*_NARROW_WORKERS, ("memory", 8), ("done", 9), ("failed", 10), ("node", 1))
"""Columns of the page, and their indexes in a worker's row."""


@click.command(epilog="Exit status: 0; 69 PostgreSQL cannot be reached at the start; 78 configuration.")
@click.option(
    "--every",
    type=Seconds(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two readings.",
)
@json_option
def top(every: float, as_json: bool) -> None:
    """Show the whole system on one live page, until q or Ctrl-C.

    It shows health, alarms, rates of the last minutes, the backlog, the workers with their tasks, and the last
    failures with their reasons. It changes nothing. Without a terminal, and with --json, it prints one reading.

    \b
      dtqs top
      dtqs top --every 0.5
      dtqs top --json | jq '.alarms'
    """
    with opened_reader(configuration(needed=True), "dtqs top") as reader:
        if as_json:
            print_json(asdict(reader.read()))
        elif not sys.stdout.isatty():
            Console(width=120).print(page(reader.read(), History(), 120, 60))
        else:
            _live(reader, every)


def _live(reader: SystemReader, every_seconds: float) -> None:
    """Draw one reading after the other. The terminal is restored at every kind of end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console, history = Console(), History()
    with (
        _keys() as read_keys,
        Live(console=console, screen=True, auto_refresh=False) as live,
        suppress(KeyboardInterrupt),
    ):
        while True:
            reading = reader.read(console.height, 3)
            history.add(reading, time.monotonic())
            live.update(page(reading, history, console.width, console.height), refresh=True)
            if QUIT in read_keys(every_seconds):
                break


@contextmanager
def _keys() -> Iterator["KeyReader"]:
    """Read keys as they are pressed, without echo. If standard input is no terminal, there are no keys."""
    if not sys.stdin.isatty():
        yield KeyReader(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield KeyReader(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class KeyReader:
    """Wait for keys, or until the time is over. A terminal that has gone counts as `q`."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, seconds: float) -> bytes:
        """Return the keys, without those that are escape sequences, such as arrows."""
        if self._descriptor is None:
            time.sleep(seconds)
            return b""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return b""
        # not by sys.stdin: its buffer takes all keys at once, and select knows nothing of the buffer
        keys = os.read(self._descriptor, _KEYS_BYTES)
        return _ESCAPES.sub(b"", keys) if keys else QUIT


def page(reading: Reading, history: History, width: int, height: int) -> RenderableType:
    """Lay out one page of `width` columns and `height` lines."""
    wide = width >= _WIDE
    alarms = _alarms(reading, height)
    rows = max(3, height - ROWS_BESIDE - len(alarms))
    running = min(len(reading.workers or ()), max(2, rows // 2))
    failed = min(len(reading.failures or ()), max(1, rows // 4))
    parts: list[RenderableType] = [_head(reading), *alarms, _rates(history)]
    parts.append(Rule("q quits", align="right", style="dim"))
    if reading.depth is not None:
        parts.append(Text(visible(depth_text(reading.depth)), no_wrap=True, overflow="ellipsis"))
    if reading.worker_counts is not None:
        parts.append(Text(_counted(reading.worker_counts), no_wrap=True, overflow="ellipsis"))
    parts += [
        _workers(reading, running, wide),
        _next(reading, max(1, rows - running - failed)),
        _failures(reading, failed, wide),
    ]
    return Group(*parts)


def _head(reading: Reading) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(reading.at))
    count = len(reading.alarms)
    verdict = (
        Text("healthy", style="bold green")
        if not reading.alarms
        else Text(f"{count} alarm{'s' * (count > 1)}", style="bold red")
    )
    servers = [
        f"{health.name} {health.state}, {visible(health.words)}" for health in (reading.database, reading.broker)
    ]
    return Text.assemble(
        ("dtqs top", "bold"), f"  {at}  ", verdict, "  ", " · ".join(servers), no_wrap=True, overflow="ellipsis"
    )


def _alarms(reading: Reading, height: int) -> list[Text]:
    """Return the lines of the alarms, the most serious first, and the number of those without a line."""
    limit = min(_ALARMS_LIMIT, max(3, height // 4))
    lines = [f"! {visible(alarm)}" for alarm in reading.alarms]
    if len(lines) > limit:
        lines[limit:] = [f"  and {len(lines) - limit} more"]
    return [Text(each, style="red", no_wrap=True, overflow="ellipsis") for each in lines]


def _counted(counts: WorkerCounts) -> str:
    late = f", {counts.late:,} late" if counts.late else ""
    return f"{plural(counts.workers, 'worker')} on {plural(counts.nodes, 'node')}, {counts.busy:,} busy{late}"


def _rates(history: History) -> Table:
    rates = history.rates
    table = Table.grid(padding=(0, 2))
    for name in _RATES:
        text = "-" if rates is None else f"{getattr(rates, name):,.1f}/s"
        table.add_row(
            name,
            Text(text, justify="right"),
            Text(spark(history.series(name, POINTS), POINTS), style="red" if name == "failed" else "cyan"),
        )
    return table


def _workers(reading: Reading, limit: int, wide: bool) -> Table:
    """Return the table of workers; workers with a task come first."""
    columns = _WORKERS if wide else _NARROW_WORKERS
    table = _table([name for name, _ in columns])
    found = sorted(
        reading.workers or (), key=lambda worker: (worker.task_id is None, worker.node_name, worker.pool, worker.slot)
    )
    for worker in found[:limit]:
        cells = worker_row(worker)
        table.add_row(*(_cell(cells[place]) for _, place in columns))
    return _with_rest(table, len(found) - limit + reading.more_workers, "workers")


def _next(reading: Reading, limit: int) -> Table:
    table = _table(["next", "type", "priority", "due for", "attempts"])
    waiting = reading.next_tasks or ()
    for task in waiting[:limit]:
        table.add_row(
            *map(
                _cell,
                (task.task_id, task.task_type, str(task.priority), _waits(task, _now(reading)), str(task.attempts)),
            )
        )
    return table


def _now(reading: Reading) -> float:
    """Return the time of the reading by PostgreSQL's clock, as the times of tasks are."""
    return reading.at + (reading.clock_ahead_seconds or 0.0)


def _waits(task: QueuedTask, at: float) -> str:
    return age(max(0.0, at - moment(task.due_at)))


def _failures(reading: Reading, limit: int, wide: bool) -> Table:
    table = _table(["failed", "type", "ago", "why", *["status"] * wide])
    for failure in (reading.failures or ())[:limit]:
        ago = age(max(0.0, _now(reading) - moment(failure.at)))
        table.add_row(
            *map(
                _cell,
                (
                    failure.task_id,
                    failure.task_type,
                    ago,
                    failure.message and masked_text(failure.message),
                    *[str(failure.status)] * wide,
                ),
            )
        )
    return table


def _table(columns: list[str]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), expand=bool({"why", "progress"} & set(columns)))
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column in ("why", "progress") else None)
    return table


def _with_rest(table: Table, count: int, noun: str) -> Table:
    if count > 0:
        table.add_row(Text(f"and {count} more {noun}", style="dim"))
    return table


def _cell(value: str | None) -> Text:
    text = cell_text(value)
    return Text(text, style=STYLES.get(text, ""))
