"""Measure the time from submit to final event at the client, at a low rate, beside the same chain without HTTP.

It measures the processor time of a request too: of both servers, API, supervisor and its children, without the client.
The chain has no API, so its client counts. The time of the idle system is subtracted.

A client asks in three ways: with a submit and a stream, with a submit that waits, and with a submit that streams.

    python bench/latency.py [--seconds 20] [--rate 20] [--json]

The chain is: commit, hint, claim, finish, event. README.md describes the measured time.
"""

import argparse
import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from cpu import Meter
from http_load import Client, get, post, tiny, wait_for_event, with_header
from product import Product, running
from report import Compared, show
from rig import Rig, say
from yardstick import Chain

_BLOCKS = 10
_WORKERS = 2
_AT_ONCE = 8
_WARM_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_SETTLE_SECONDS = 5.0
_RATIO_AT_MOST = 1.5
_ONE_REQUEST_AT_MOST = 1.1
_P99_MS_AT_MOST = 25.0


class TwoRequests:
    """A typical client: POST on a kept connection, then a stream for the returned link. A context manager."""

    def __init__(self, product: Product) -> None:
        self._port, self._request = product.port, post("/submit", tiny(), product.key)
        # used in turns, and opened again for each block: the server closes a connection that is idle for some seconds
        self._clients = deque(Client(self._port) for _ in range(_AT_ONCE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def once(self) -> float:
        """Return the seconds from the submit to the arrival of the outcome."""
        client = self._clients.popleft()
        start = time.monotonic()
        self._ask(client)
        seconds = time.monotonic() - start
        self._clients.append(client)
        return seconds

    def _ask(self, client: Client) -> None:
        link = json.loads(client.send(self._request))["links"]["sse"]
        wait_for_event(self._port, get(link), b"completed")


class Waiting(TwoRequests):
    """A client whose submit waits for the outcome, on a kept connection."""

    def __init__(self, product: Product) -> None:
        super().__init__(product)
        self._request = with_header(self._request, "Prefer: wait=20")

    def _ask(self, client: Client) -> None:
        client.send(self._request, b"200")


class Streaming(TwoRequests):
    """A client whose submit is answered with the stream, which ends its connection."""

    def __init__(self, product: Product) -> None:
        super().__init__(product)
        self._request = with_header(self._request, "Accept: text/event-stream")

    def _ask(self, client: Client) -> None:
        wait_for_event(self._port, self._request, b"completed")


WAYS: dict[str, type[TwoRequests]] = {
    "submit to final event": TwoRequests, "one request, Prefer: wait": Waiting, "one request, stream": Streaming,
}  # fmt: skip


def at_rate(once: Callable[[], float], rate: float, seconds: float) -> list[float]:
    """Call a function at this rate, whether earlier calls have returned or not; return milliseconds."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        start, calls = time.monotonic(), []
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            calls.append(pool.submit(once))
        return [1000 * call.result(timeout=60) for call in calls]


def one_after_the_other(once: Callable[[], float], rate: float, seconds: float) -> list[float]:
    """Do the same without threads, for a function that threads cannot share."""
    start, durations = time.monotonic(), []
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        durations.append(1000 * once())
    return durations


class Cost:
    """The processor time of one request, less what the idle system takes. `parts` names processes with their families.

    `own_part` is the part of the benchmark's own process that counts.
    """

    def __init__(self, parts: Mapping[str, int], own_part: float) -> None:
        self._parts, self._own_part = parts, own_part
        self._idle = 0.0
        self._idle = self.of(lambda: time.sleep(_IDLE_SECONDS), 1) / _IDLE_SECONDS

    def of(self, run: Callable[[], object], requests: int) -> float:
        """Return the milliseconds of one of these requests."""
        meter, start = Meter(self._parts), time.monotonic()
        run()
        used = meter.per_task(1)
        own = used.pop("bench itself")
        seconds = time.monotonic() - start
        return (sum(used.values()) / 1000 + self._own_part * own / 1000 - self._idle * seconds) / requests


@dataclass
class Block:
    """The durations of one block of requests, and the processor time of one of them; all in milliseconds."""

    durations: list[float]
    cost: float

    @property
    def median(self) -> float:
        return statistics.median(self.durations)


def measure(rig: Rig, rate: float, seconds: float) -> list[Compared]:
    """Alternate blocks of all ways and the chain; each block counts as a round."""
    medians = {name: Compared(f"{name}, median", "ms", "chain without HTTP", at_most=_at_most(name)) for name in WAYS}
    costs = {name: Compared(f"{name}, processor time", "ms", "chain without HTTP") for name in WAYS}
    all_ours: dict[str, list[float]] = {name: [] for name in WAYS}
    theirs: list[float] = []
    with rig.place() as place, running(rig) as product:
        product.start_workers(_WORKERS)
        product.wait_workers(_WORKERS)
        chain = Chain(place, _WORKERS)
        try:
            one_after_the_other(chain.once, rate, _WARM_SECONDS)
            time.sleep(_SETTLE_SECONDS)  # starts are no part of the idle system
            servers = {"PostgreSQL": rig.postgres.pid, "RabbitMQ": rig.rabbitmq.pid}
            ours = Cost({**servers, "API": product.server.pid, "workers": product.supervisor_pid}, 0.0)
            beside = Cost({**servers, **{f"chain {pid}": pid for pid in chain.pids}}, 1.0)
            for number in range(1, _BLOCKS + 1):
                blocks = {name: _block(way, product, ours, rate, seconds / _BLOCKS) for name, way in WAYS.items()}
                bare = _bare_block(chain, beside, rate, seconds / _BLOCKS)
                for name, block in blocks.items():
                    medians[name].add(block.median, bare.median)
                    costs[name].add(block.cost, bare.cost)
                    all_ours[name] += block.durations
                theirs += bare.durations
                shown = ", ".join(f"{name} {block.median:.2f} ms" for name, block in blocks.items())
                say(f"block {number} of {_BLOCKS}: {shown}; chain without HTTP {bare.median:.2f} ms")
        finally:
            chain.close()
    return [*medians.values(), *_ratios(medians), *_worst(all_ours, theirs), *costs.values()]


def _block(way: type[TwoRequests], product: Product, cost: Cost, rate: float, seconds: float) -> Block:
    with way(product) as client:
        at_rate(client.once, rate, _WARM_SECONDS)
        return _measured(lambda: at_rate(client.once, rate, seconds), cost, int(rate * seconds))


def _bare_block(chain: Chain, cost: Cost, rate: float, seconds: float) -> Block:
    chain.keep_alive()
    one_after_the_other(chain.once, rate, _WARM_SECONDS)
    return _measured(lambda: one_after_the_other(chain.once, rate, seconds), cost, int(rate * seconds))


def _measured(run: Callable[[], list[float]], cost: Cost, requests: int) -> Block:
    durations: list[float] = []
    spent = cost.of(lambda: durations.extend(run()), requests)
    return Block(durations, spent)


def _at_most(name: str) -> float | None:
    return {"submit to final event": _RATIO_AT_MOST, "one request, Prefer: wait": _ONE_REQUEST_AT_MOST}.get(name)


def _ratios(medians: dict[str, Compared]) -> list[Compared]:
    """Compare one request with two in the same blocks."""
    two, *ones = medians.values()
    return [Compared(one.name, "ms", "two requests", ours=one.ours, theirs=two.ours) for one in ones]


def _worst(all_ours: dict[str, list[float]], theirs: list[float]) -> list[Compared]:
    rows = []
    for name, values in all_ours.items():
        rows.append(Compared(f"{name}, p99", "ms", at_most=_P99_MS_AT_MOST))
        rows[-1].add(_p99(values))
    rows.append(Compared("submit to final event, p99", "ms", "chain without HTTP"))
    rows[-1].add(_p99(next(iter(all_ours.values()))), _p99(theirs))
    return rows


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each side's measurement")
    parser.add_argument("--rate", type=float, default=20.0, help="submits a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.rate, arguments.seconds)
    show("latency", results, arguments.json)


if __name__ == "__main__":
    main()
