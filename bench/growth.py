"""Measure the rate over time: a large backlog, and growth from an empty database to many finished and pending tasks.

    python bench/growth.py [--quick] [--backlog 1000000] [--tasks 500000] [--held-seconds 60] [--json]

The backlog is complete before two workers start. In the other phases submits and two workers run together all the time,
so a window shows the rate of both. The last phase runs beside a connection that holds a snapshot open. README.md
describes the windows.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from cpu import Meter, Usage
from http_load import Clients, post, tiny
from pika.adapters.blocking_connection import BlockingChannel
from product import Product, queue_depth, running
from report import machine, print_columns
from rig import Rig, say

EXPECTED = 0.9
_WORKERS = 2
_ARRAY = 50
_CONNECTIONS = 4
_BURST = 25
_DEPTH_HINTS = 100
"""Submits pause while more hints than this wait, so that the backlog of due tasks does not grow."""
_RUN_PER_PENDING = 5
"""Arrays of due tasks for each array that is due in a week, so that both tables grow together."""
_WEEK_SECONDS = 7 * 86400
_WINDOWS, _HELD_WINDOWS = 10, 6

_SUBMITS_AT_ONCE = 500
_SERVER = {"shared_buffers": "4GB", "max_wal_size": "8GB"}
"""As docs/performance.md recommends. With the defaults a checkpoint begins within each phase: then the first change of
a page writes the whole page."""

_BY_COUNT = """SELECT count(*), extract(epoch FROM min(at))::float8, extract(epoch FROM max(at))::float8
FROM (
    SELECT at, ntile({windows}) OVER (ORDER BY at, id) AS number
    FROM logs
    WHERE event = 'completed'
) windows
GROUP BY number
ORDER BY number"""
_BY_TIME = """SELECT count(logs.at)
FROM generate_series(0, {windows} - 1) number
LEFT JOIN logs ON logs.event = 'completed'
    AND logs.at >= to_timestamp({start}) + number * interval '{seconds} s'
    AND logs.at < to_timestamp({start}) + (number + 1) * interval '{seconds} s'
GROUP BY number
ORDER BY number"""


@dataclass(frozen=True, slots=True)
class Window:
    """The tasks finished in a window, and the processor time of all processes. Times are the database's."""

    finished: int
    start: float
    end: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.finished / (self.end - self.start)

    @property
    def microseconds(self) -> float:
        """Processor time per task. Other load on the machine lowers the rate, but hardly changes this."""
        return 1e6 * self.cpu_seconds / self.finished


@dataclass(frozen=True, slots=True)
class Phase:
    """The windows of one phase, and the row counts at its end."""

    name: str
    windows: list[Window]
    finished: int
    pending: int

    @property
    def lowest(self) -> float:
        """The rate of the lowest window divided by the median."""
        rates = [window.rate for window in self.windows]
        return min(rates) / statistics.median(rates)

    @property
    def dearest(self) -> float:
        """The median processor time per task divided by the highest."""
        costs = [window.microseconds for window in self.windows]
        return statistics.median(costs) / max(costs)


class Feed:
    """Submit as fast as the workers finish: five arrays due now for one that is due in a week."""

    def __init__(self, product: Product, channel: BlockingChannel, usage: Usage) -> None:
        self._port, self._channel, self._usage = product.port, channel, usage
        self._now = post("/submit", tiny(_ARRAY), product.key)
        self._later = post("/submit", tiny(_ARRAY, delay_seconds=_WEEK_SECONDS), product.key)

    def tasks(self, count: int) -> None:
        """Submit at least `count` tasks that are due now, and a fifth as many for later."""
        done = 0
        with Clients(self._port, _CONNECTIONS) as clients:
            while done < count:
                if self._is_short():
                    clients.run(self._mixed())
                    done += _BURST * _ARRAY

    def seconds(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with Clients(self._port, _CONNECTIONS) as clients:
            while time.monotonic() < end:
                if self._is_short():
                    clients.run([self._now] * _BURST)

    def _is_short(self) -> bool:
        self._usage.sample()
        if queue_depth(self._channel) <= _DEPTH_HINTS:
            return True
        time.sleep(0.02)
        return False

    def _mixed(self) -> Iterator[bytes]:
        for number in range(1, _BURST + 1):
            yield self._now
            if number % _RUN_PER_PENDING == 0:
                yield self._later


def work_off(rig: Rig, tasks: int) -> Phase:
    """Submit all tasks before the workers start. No hint may be published again: that would be work for nothing."""
    with running(rig) as product:
        array = post("/submit", tiny(_ARRAY), product.key)
        with Clients(product.port, _CONNECTIONS) as clients:
            for _ in range(0, tasks, _SUBMITS_AT_ONCE * _ARRAY):
                clients.run([array] * _SUBMITS_AT_ONCE)
        product.wait_settled()
        product.start_workers(_WORKERS)
        with product.broker() as broker:
            usage, channel = _usage(rig, product), broker.channel()
            while queue_depth(channel):
                usage.sample()
                time.sleep(0.05)
        product.wait_drained()
        usage.sample()
        again = product.value("SELECT coalesce(sum(published), 0)::int FROM counters WHERE role = 'keeper'")
        say(f"tasks whose hints a keeper published again: {again:,}")
        return _phase(product, "backlog", _by_count(product, usage))


def grow(product: Product, feed: Feed, usage: Usage, tasks: int) -> Phase:
    """Grow from empty to this many finished tasks."""
    feed.tasks(tasks)
    product.wait_drained()
    usage.sample()
    return _phase(product, "growth", _by_count(product, usage))


def _by_count(product: Product, usage: Usage) -> list[Window]:
    """Return windows with equal numbers of tasks."""
    rows = product.rows(_BY_COUNT.format(windows=_WINDOWS))
    starts = [rows[0][1], *(end for _, _, end in rows)]
    return [
        Window(count, start, end, usage.between(start, end))
        for (count, _, end), start in zip(rows, starts, strict=False)
    ]


def _usage(rig: Rig, product: Product) -> Usage:
    """Return the usage of a product whose workers have started."""
    return Usage(
        Meter(
            {
                "servers": rig.postgres.pid,
                "broker": rig.rabbitmq.pid,
                "API": product.server.pid,
                "workers": product.supervisor_pid,
            }
        )
    )


def hold(product: Product, feed: Feed, usage: Usage, seconds: float) -> Phase:
    """Continue beside a snapshot that is held open; windows have equal time."""
    with product.snapshot():
        start, each = product.value("SELECT extract(epoch FROM now())::float8"), seconds / _HELD_WINDOWS
        feed.seconds(seconds)
        usage.sample()
        counts = product.rows(_BY_TIME.format(windows=_HELD_WINDOWS, start=start, seconds=each))
    product.wait_drained()
    starts = [start + number * each for number in range(_HELD_WINDOWS)]
    windows = [
        Window(count, at, at + each, usage.between(at, at + each)) for (count,), at in zip(counts, starts, strict=True)
    ]
    return _phase(product, "held snapshot", windows)


def _phase(product: Product, name: str, windows: list[Window]) -> Phase:
    finished, pending = (
        product.value("SELECT count(*) FROM tasks WHERE outcome = 'completed'"),
        product.value("SELECT count(*) FROM backlog"),
    )
    say(f"{name}: {finished:,} finished, {pending:,} pending")
    say("  tasks/s by window: " + " ".join(f"{window.rate:,.0f}" for window in windows))
    say("  µs of processor time per task: " + " ".join(f"{window.microseconds:.0f}" for window in windows))
    return Phase(name, windows, finished, pending)


def show(phases: Sequence[Phase], as_json: bool) -> None:
    if as_json:
        rows = [
            asdict(phase)
            | {"lowest": phase.lowest, "dearest": phase.dearest, "at_least": EXPECTED, "met": phase.lowest >= EXPECTED}
            for phase in phases
        ]
        print(json.dumps({"benchmark": "growth", "machine": machine(), "results": rows}, indent=1))
        return
    print(f"\ngrowth ({machine()})\n")
    columns = [
        "phase",
        "finished",
        "pending",
        "median tasks/s",
        "lowest",
        "ratio",
        "expected",
        "met",
        "median µs/task",
        "dearest",
        "ratio",
    ]
    print_columns([columns, *(_cells(phase) for phase in phases)])


def _cells(phase: Phase) -> list[str]:
    rates, costs = [window.rate for window in phase.windows], [window.microseconds for window in phase.windows]
    figures = [
        f"{phase.finished:,}",
        f"{phase.pending:,}",
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f}",
        f"{phase.lowest:.2f}",
    ]
    verdict = [f"≥ {EXPECTED}", "yes" if phase.lowest >= EXPECTED else "NO"]
    return [
        phase.name,
        *figures,
        *verdict,
        f"{statistics.median(costs):.0f}",
        f"{max(costs):.0f}",
        f"{phase.dearest:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--tasks",
        type=int,
        default=500_000,
        help="tasks to finish during growth, a fifth as many stay pending; 0: leave this and the last phase out",
    )
    parser.add_argument("--backlog", type=int, default=1_000_000, help="tasks of the backlog; 0: leave this phase out")
    parser.add_argument("--held-seconds", type=float, default=60.0, help="length of the last phase")
    parser.add_argument("--quick", action="store_true", help="a tenth of each")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    share = 0.1 if arguments.quick else 1.0
    phases = list[Phase]()
    with Rig(_SERVER) as rig:
        if arguments.backlog:
            phases.append(work_off(rig, int(share * arguments.backlog)))
        if arguments.tasks:
            phases += together(rig, int(share * arguments.tasks), share * arguments.held_seconds)
    show(phases, arguments.json)


def together(rig: Rig, tasks: int, held_seconds: float) -> Iterator[Phase]:
    """Run the phases in which submits and workers run together."""
    with running(rig) as product:
        product.start_workers(_WORKERS)
        product.wait_workers(_WORKERS)
        with product.broker() as broker:
            usage = _usage(rig, product)
            feed = Feed(product, broker.channel(), usage)
            yield grow(product, feed, usage, tasks)
            if held_seconds:
                yield hold(product, feed, usage, held_seconds)


if __name__ == "__main__":
    main()
