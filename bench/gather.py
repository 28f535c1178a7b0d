"""Measure single submits of one Python process whose client gathers them, beside arrays and beside one by one.

    python bench/gather.py [--rounds 3] [--tasks 30000] [--callers 300] [--json]

Workers are stopped. README.md describes the measured time.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from product import Product, running
from report import Compared, show
from rig import Rig, say

from dtqs.client import Client, Submission

_AT_LEAST = 20_000
_ONE_BY_ONE_PART = 10
"""Submits one by one are slower by an order of magnitude, so that part of the tasks is enough."""
_ONE_BY_ONE_CALLERS = 32
_PAYLOAD = {"a": 1}


def in_threads(client: Client, tasks: int, callers: int) -> None:
    """Submit from threads, each of which waits for its answer before its next submit."""

    def submit() -> None:
        for _ in range(tasks // callers):
            client.submit("echo", _PAYLOAD)

    threads = [Thread(target=submit) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_tasks(client: Client, tasks: int, callers: int) -> None:
    """Do the same in tasks of asyncio."""

    async def submit() -> None:
        for _ in range(tasks // callers):
            await client.submit_async("echo", _PAYLOAD)

    async def run() -> None:
        await asyncio.gather(*(submit() for _ in range(callers)))

    asyncio.run(run())


def in_arrays(client: Client, tasks: int, callers: int) -> None:
    """Submit arrays of 1000 from two threads."""
    with ThreadPoolExecutor(2) as pool:
        for call in [
            pool.submit(client.submit_many, [Submission("echo", _PAYLOAD)] * 1000) for _ in range(tasks // 1000)
        ]:
            call.result()


def one_by_one(client: Client, tasks: int, callers: int) -> None:
    in_threads(client, tasks // _ONE_BY_ONE_PART, _ONE_BY_ONE_CALLERS)


def rate(
    product: Product, gather: bool, run: Callable[[Client, int, int], None], tasks: int, callers: int, count: int
) -> float:
    """Return the submits per second. A short run first opens the connections."""
    with Client(f"http://127.0.0.1:{product.port}", product.key, gather=gather) as client:
        run(client, 1000 if run is in_arrays else callers, callers)
        product.wait_settled()
        start = time.monotonic()
        run(client, tasks, callers)
        seconds = time.monotonic() - start
    product.wait_settled()
    return count / seconds


def measure(rig: Rig, rounds: int, tasks: int, callers: int) -> list[Compared]:
    threads = Compared("gathered submits of threads", "tasks/s", "arrays of 1000 by the same client")
    tasks_of_asyncio = Compared("gathered submits of asyncio", "tasks/s", "arrays of 1000 by the same client")
    alone = Compared("submits one by one", "tasks/s")
    floor = Compared("gathered submits, the slower of both", "tasks/s", at_least=_AT_LEAST)
    with running(rig) as product:
        for number in range(1, rounds + 1):
            arrays = rate(product, False, in_arrays, tasks, callers, tasks)
            threads.add(rate(product, True, in_threads, tasks, callers, tasks // callers * callers), arrays)
            tasks_of_asyncio.add(rate(product, True, in_tasks, tasks, callers, tasks // callers * callers), arrays)
            alone.add(rate(product, False, one_by_one, tasks, callers, tasks // _ONE_BY_ONE_PART))
            floor.add(min(threads.ours[-1], tasks_of_asyncio.ours[-1]))
            say(
                f"round {number} of {rounds}: threads {threads.ours[-1]:,.0f}, "
                f"asyncio {tasks_of_asyncio.ours[-1]:,.0f}, "
                f"arrays {arrays:,.0f}, one by one {alone.ours[-1]:,.0f} tasks/s"
            )
    return [floor, threads, tasks_of_asyncio, alone]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=30_000, help="submits of each measurement")
    parser.add_argument("--callers", type=int, default=300, help="threads, or tasks of asyncio")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results = measure(rig, arguments.rounds, arguments.tasks, arguments.callers)
    show("gather", results, arguments.json)


if __name__ == "__main__":
    main()
