"""Measure the processor time of an idle system: API, supervisor, keeper, workers, and both servers with and without it.

python bench/idle.py [--seconds 20] [--rounds 3] [--workers 2] [--json]
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from cpu import Meter
from product import Product, running
from report import Compared, show
from rig import Rig, say

from dtqs.sandbox.processes import family

_SETTLE_SECONDS = 8.0
"""After the start, caches fill and first heartbeats come. This time is not measured."""
_AT_MOST = 3.0
_CHILD = "dtqs: "


def shares(roots: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return percent of one core, by name, over the next `seconds`."""
    meter = Meter(roots)
    time.sleep(seconds)
    used = meter.per_task(seconds)
    del used["bench itself"]
    return {name: share / 10_000 for name, share in used.items()}


def parts(product: Product) -> dict[str, int]:
    """Return the first process of each part of DTQS. Children of the supervisor count in it, and alone."""
    found = {"API": product.server.pid, "supervisor and its children": product.supervisor_pid}
    for pid in family(product.supervisor_pid):
        if pid == product.supervisor_pid:
            continue
        title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        if title.startswith(_CHILD):
            found[f"of these: {title.removeprefix(_CHILD)}"] = pid
    return found


def measure(rig: Rig, seconds: float, rounds: int, workers: int) -> list[Compared]:
    """Measure both servers alone, then with the whole system, in turns."""
    whole = Compared("an idle system, with both servers", "% of a core", at_most=_AT_MOST)
    beside = Compared("its servers alone, idle", "% of a core")
    by_part: dict[str, Compared] = {}
    servers = {"PostgreSQL": rig.postgres.pid, "RabbitMQ": rig.rabbitmq.pid}
    for number in range(1, rounds + 1):
        time.sleep(_SETTLE_SECONDS)
        alone = shares(servers, seconds)
        with running(rig) as product:
            product.start_workers(workers)
            product.wait_workers(workers)
            time.sleep(_SETTLE_SECONDS)
            busy = shares({**servers, **parts(product)}, seconds)
        whole.add(sum(share for name, share in busy.items() if not name.startswith("of these")))
        beside.add(sum(alone.values()))
        for name, share in busy.items():
            by_part.setdefault(name, Compared(name, "% of a core")).add(share)
        say(f"round {number} of {rounds}: {whole.ours[-1]:.1f} % of a core; the servers alone {beside.ours[-1]:.1f} %")
    return [whole, beside, *by_part.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.seconds, arguments.rounds, arguments.workers)
    show("idle", results, arguments.json)


if __name__ == "__main__":
    main()
