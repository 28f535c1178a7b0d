"""Measure the time from submit to final event at the client, at a low rate, beside the same chain without HTTP.

    python bench/latency.py [--seconds 20] [--rate 20] [--json]

The chain is: commit, hint, claim, finish, event. README.md describes the measured time.
"""

import argparse
import json
import statistics
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from http_load import Client, post, tiny, wait_for_event
from product import Product, running
from report import Compared, show
from rig import Rig, say
from yardstick import Chain

_BLOCKS = 4
_WORKERS = 2
_AT_ONCE = 8
_WARM_SECONDS = 1.0
_RATIO_AT_MOST = 1.5
_P99_MS_AT_MOST = 25.0


class Watcher:
    """A typical client: POST on a kept connection, then a stream for the returned link. A context manager."""

    def __init__(self, product: Product) -> None:
        self._port, self._request = product.port, post("/submit", tiny(), product.key)
        # used in turns, and opened again for each block: the server closes a connection that is idle for some seconds
        self._clients = deque(Client(self._port) for _ in range(_AT_ONCE))

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def once(self) -> float:
        """Return the seconds from the submit to the arrival of the final event."""
        client = self._clients.popleft()
        start = time.monotonic()
        link = json.loads(client.send(self._request))["links"]["sse"]
        wait_for_event(self._port, link, b"completed")
        seconds = time.monotonic() - start
        self._clients.append(client)
        return seconds


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


def measure(rig: Rig, rate: float, seconds: float) -> list[Compared]:
    """Alternate blocks of both; each block counts as a round."""
    median = Compared("submit to final event, median", "ms", "chain without HTTP", at_most=_RATIO_AT_MOST)
    worst = Compared("submit to final event, p99", "ms", at_most=_P99_MS_AT_MOST)
    slow = Compared("submit to final event, p99", "ms", "chain without HTTP")
    ours: list[float] = []
    theirs: list[float] = []
    with rig.place() as place, running(rig) as product:
        product.start_workers(_WORKERS)
        product.wait_workers(_WORKERS)
        chain = Chain(place, _WORKERS)
        try:
            for number in range(1, _BLOCKS + 1):
                with Watcher(product) as watcher:
                    at_rate(watcher.once, rate, _WARM_SECONDS)
                    block = at_rate(watcher.once, rate, seconds / _BLOCKS)
                chain.keep_alive()
                one_after_the_other(chain.once, rate, _WARM_SECONDS)
                beside = one_after_the_other(chain.once, rate, seconds / _BLOCKS)
                median.add(statistics.median(block), statistics.median(beside))
                say(
                    f"block {number} of {_BLOCKS}: {median.ours[-1]:.2f} ms; "
                    f"chain without HTTP: {median.theirs[-1]:.2f} ms"
                )
                ours += block
                theirs += beside
        finally:
            chain.close()
    worst.add(_p99(ours))
    slow.add(_p99(ours), _p99(theirs))
    return [median, worst, slow]


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
