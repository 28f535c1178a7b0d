"""The rate over time: from an empty database through 500,000 finished and 100,000 pending tasks, then beside a connection that holds a snapshot open.

    python bench/growth.py [--quick] [--tasks 500000] [--held-seconds 60] [--json]

Submits and two workers run together throughout, so a window shows what both come to. See README.md for what the windows are.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from http_load import Clients, post, tiny
from pika.adapters.blocking_connection import BlockingChannel
from product import Product, queue_depth, running
from report import machine, print_columns
from rig import Rig, say

EXPECTED = 0.85
_WORKERS = 2
_ARRAY = 50
_CONNECTIONS = 4
_BURST = 25
_DEPTH_HINTS = 100
"""No more is submitted while so many hints wait: the backlog must not be what grows."""
_RUN_PER_PENDING = 5
"""For so many tasks that run, one that is due in a week: so both tables grow together."""
_WEEK_SECONDS = 7 * 86400
_WINDOWS, _HELD_WINDOWS = 10, 6

_BY_COUNT = """SELECT count(*), extract(epoch FROM min(at))::float8, extract(epoch FROM max(at))::float8 FROM
    (SELECT at, ntile({windows}) OVER (ORDER BY at, id) AS number FROM logs WHERE event = 'completed') w GROUP BY number ORDER BY number"""
_BY_TIME = """SELECT count(l.at) FROM generate_series(0, {windows} - 1) w LEFT JOIN logs l ON l.event = 'completed'
    AND l.at >= to_timestamp({start}) + w * interval '{seconds} s' AND l.at < to_timestamp({start}) + (w + 1) * interval '{seconds} s' GROUP BY w ORDER BY w"""


@dataclass(frozen=True, slots=True)
class Phase:
    """The windows of one phase, in tasks finished per second."""

    name: str
    rates: list[float]
    finished: int
    pending: int

    @property
    def lowest(self) -> float:
        """The lowest window beside the median one."""
        return min(self.rates) / statistics.median(self.rates)


class Feed:
    """Submits as much as the workers finish, five tasks due now for one that is due in a week."""

    def __init__(self, product: Product, channel: BlockingChannel) -> None:
        self._port, self._channel = product.port, channel
        self._now = post("/submit", tiny(_ARRAY), product.key)
        self._later = post("/submit", tiny(_ARRAY, delay_seconds=_WEEK_SECONDS), product.key)

    def tasks(self, count: int) -> None:
        """Submit so many that are due now, and a fifth of that for later."""
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
        if queue_depth(self._channel) <= _DEPTH_HINTS:
            return True
        time.sleep(0.02)
        return False

    def _mixed(self) -> Iterator[bytes]:
        for number in range(1, _BURST + 1):
            yield self._now
            if number % _RUN_PER_PENDING == 0:
                yield self._later


def grow(product: Product, feed: Feed, tasks: int) -> Phase:
    """From empty to so many finished; windows of equally many tasks."""
    feed.tasks(tasks)
    product.wait_drained()
    windows = product.rows(_BY_COUNT.format(windows=_WINDOWS))
    starts = [windows[0][1], *(end for _, _, end in windows)]
    return _phase(product, "growth", [count / (end - start) for (count, _, end), start in zip(windows, starts, strict=False)])


def hold(product: Product, feed: Feed, seconds: float) -> Phase:
    """Go on beside a snapshot that is held open; windows of equal time."""
    with product.snapshot():
        start, each = product.value("SELECT extract(epoch FROM now())::float8"), seconds / _HELD_WINDOWS
        feed.seconds(seconds)
        counts = product.rows(_BY_TIME.format(windows=_HELD_WINDOWS, start=start, seconds=each))
    product.wait_drained()
    return _phase(product, "held snapshot", [count / each for (count,) in counts])


def _phase(product: Product, name: str, rates: list[float]) -> Phase:
    finished, pending = product.value("SELECT count(*) FROM tasks WHERE outcome = 'completed'"), product.value("SELECT count(*) FROM backlog")
    phase = Phase(name, rates, finished, pending)
    say(f"{name}: {finished:,} finished, {pending:,} pending; tasks/s by window: " + " ".join(f"{rate:,.0f}" for rate in rates))
    return phase


def show(phases: Sequence[Phase], as_json: bool) -> None:
    if as_json:
        rows = [asdict(phase) | {"lowest": phase.lowest, "at_least": EXPECTED, "met": phase.lowest >= EXPECTED} for phase in phases]
        print(json.dumps({"benchmark": "growth", "machine": machine(), "results": rows}, indent=1))
        return
    print(f"\ngrowth ({machine()})\n")
    columns = ["phase", "finished", "pending", "median tasks/s", "lowest window", "ratio", "expected", "met"]
    print_columns([columns, *(_cells(phase) for phase in phases)])


def _cells(phase: Phase) -> list[str]:
    figures = [f"{phase.finished:,}", f"{phase.pending:,}", f"{statistics.median(phase.rates):,.0f}", f"{min(phase.rates):,.0f}", f"{phase.lowest:.2f}"]
    return [phase.name, *figures, f"≥ {EXPECTED}", "yes" if phase.lowest >= EXPECTED else "NO"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=500_000, help="tasks that are finished in the first phase; a fifth of that stays pending")
    parser.add_argument("--held-seconds", type=float, default=60.0, help="length of the second phase")
    parser.add_argument("--quick", action="store_true", help="a tenth of both")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    share = 0.1 if arguments.quick else 1.0
    with Rig() as rig, running(rig) as product:
        product.start_workers(_WORKERS)
        product.wait_workers(_WORKERS)
        with product.broker() as broker:
            feed = Feed(product, broker.channel())
            phases = [grow(product, feed, int(share * arguments.tasks)), hold(product, feed, share * arguments.held_seconds)]
    show(phases, arguments.json)


if __name__ == "__main__":
    main()
