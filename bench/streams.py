"""Measure streams: the cost to open one, and how late the outcomes of many tasks reach many open streams.

    python bench/streams.py [--streams 5000] [--tasks 1000] [--rounds 3] [--json]

README.md describes the measured time.
"""

import argparse
import select
import socket
import time
from collections import deque
from collections.abc import Container, Sequence
from typing import Self

import orjson
from cpu import Meter
from http_load import BadReply, Client, get, post, tiny
from product import HttpServer, Product, running
from report import Compared, Costs, show
from rig import Rig, say

_AT_ONCE = 16
"""Streams that are opened at the same time."""
_WAIT_SECONDS = 60
_CHUNK_BYTES = 1 << 16
_WORKERS = 2
_SUBMITTED = 500
_LAST_MS_AT_MOST = 100.0
_SECONDS_BEFORE, _SECONDS_EACH = 10, 0.004
"""The tasks are due when all streams are open."""
_LATER_SECONDS = 86_400
_ROOM = {"max_streams": "20000", "max_connections": "20000"}
_EVENT, _FINAL = b"data: ", b"event: completed"


class Streams:
    """Open streams of one client process, as a context manager: nonblocking sockets and one epoll."""

    def __init__(self, port: int) -> None:
        self._port, self._poll = port, select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._paths: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for each in self._sockets.values():
            each.close()

    def open(self, paths: Sequence[str]) -> float:
        """Open a stream for each path, and wait for the first event of each. Return the seconds."""
        start, left, waiting = time.monotonic(), deque(paths), dict[int, bytes]()
        while left or waiting:
            while left and len(waiting) < _AT_ONCE:
                waiting[self._dial(left.popleft())] = b""
            for number in self._ready():
                part = self._read(number)
                if number in waiting:
                    waiting[number] += part
                    if _EVENT in waiting[number]:
                        del waiting[number]
        return time.monotonic() - start

    def wait_for(self, paths: Container[str]) -> list[tuple[str, float]]:
        """Wait until these streams have their outcomes. Return path and time (wall clock) of each arrival."""
        waiting, arrivals = {number: b"" for number, path in self._paths.items() if path in paths}, []
        while waiting:
            for number in self._ready():
                if number in waiting:
                    waiting[number] = waiting[number][-len(_FINAL) :] + self._read(number)
                    if _FINAL in waiting[number]:
                        arrivals.append((self._paths[number], time.time()))
                        del waiting[number]
                        self._poll.unregister(number)
        return arrivals

    def _dial(self, path: str) -> int:
        one = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        one.sendall(get(path))
        one.setblocking(False)
        self._poll.register(one, select.EPOLLIN)
        self._sockets[one.fileno()], self._paths[one.fileno()] = one, path
        return one.fileno()

    def _ready(self) -> list[int]:
        ready = self._poll.poll(_WAIT_SECONDS)
        if not ready:
            raise TimeoutError(f"no event within {_WAIT_SECONDS} s")
        return [number for number, _ in ready]

    def _read(self, number: int) -> bytes:
        part = self._sockets[number].recv(_CHUNK_BYTES)
        if not part:
            raise BadReply("the server closed a stream before its outcome")
        return part


def submit(product: Product, tasks: int, delay_seconds: float) -> dict[str, str]:
    """Submit tasks that are due at the same time. Return their ids by the paths of their streams."""
    found: dict[str, str] = {}
    with Client(product.port) as client:
        while len(found) < tasks:
            body = tiny(min(_SUBMITTED, tasks - len(found)), delay_seconds=delay_seconds)
            answer = orjson.loads(client.send(post("/submit", body, product.key)))
            found |= {task["links"]["sse"]: task["task_id"] for task in answer}
    return found


def opened(rig: Rig, server: HttpServer, paths: Sequence[str], held: Streams, costs: Costs, side: str) -> float:
    """Open the streams, and note the processor time of each. Return microseconds of wall time for each."""
    meter = Meter({"PostgreSQL": rig.postgres.pid, "API": server.pid})
    seconds = held.open(paths)
    costs.add("open a stream", side, meter.per_task(len(paths)))
    return 1e6 * seconds / len(paths)


def lateness(product: Product, ids: dict[str, str], streams: Streams) -> list[float]:
    """Wait for these outcomes. Return the milliseconds from the commit of each to each of its streams, in order."""
    arrivals = streams.wait_for(ids)
    rows = product.rows("SELECT task_id::text, extract(epoch FROM at)::float8 FROM logs WHERE event = 'completed'")
    at = {str(task_id): float(seconds) for task_id, seconds in rows}
    return sorted(1000 * (arrival - at[ids[path]]) for path, arrival in arrivals)


def measure(rig: Rig, streams: int, tasks: int, rounds: int) -> tuple[list[Compared], Costs]:
    opening = Compared("open a stream", "µs", "bare Falcon app that streams")
    median = Compared("an outcome to its stream, median", "ms")
    last = Compared("an outcome to its stream, the last one", "ms", at_most=_LAST_MS_AT_MOST)
    last_of_all = Compared("an outcome to all streams at once, the last one", "ms")
    costs = Costs()
    for number in range(1, rounds + 1):
        with running(rig, api=_ROOM) as product:
            product.start_workers(_WORKERS)
            product.wait_workers(_WORKERS)
            with product.beside("without_database", product.answer()) as server, Streams(server.port) as held:
                bare = opened(rig, server, ["/sse"] * streams, held, costs, "bare app")
            due_seconds = _SECONDS_BEFORE + streams * _SECONDS_EACH
            ids, others = submit(product, tasks, due_seconds), submit(product, streams - tasks, _LATER_SECONDS)
            with Streams(product.port) as held:
                ours = opened(rig, product.server, mixed(list(ids), list(others)), held, costs, "ours")
                late = lateness(product, ids, held)
            ids = submit(product, tasks, due_seconds)
            with Streams(product.port) as held:
                held.open((list(ids) * (streams // tasks + 1))[:streams])
                last_of_all.add(lateness(product, ids, held)[-1])
        opening.add(ours, bare)
        median.add(late[len(late) // 2])
        last.add(late[-1])
        say(
            f"round {number} of {rounds}: {ours:,.0f} µs to open a stream, bare app {bare:,.0f}; "
            f"outcomes after {median.ours[-1]:,.0f} ms, the last one after {last.ours[-1]:,.0f} ms, "
            f"{last_of_all.ours[-1]:,.0f} ms if all streams get one"
        )
    return [opening, median, last, last_of_all], costs


def mixed(some: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return all paths, with the fewer ones at equal distances: each API process gets its part of both."""
    step = max(1, len(others) // max(1, len(some)))
    paths = [path for number, one in enumerate(some) for path in (one, *others[number * step : (number + 1) * step])]
    return paths + list(others[len(some) * step :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--tasks", type=int, default=1000, help="tasks that these streams watch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Rig() as rig:
        results, costs = measure(rig, arguments.streams, arguments.tasks, arguments.rounds)
    show("streams", results, arguments.json, [costs])


if __name__ == "__main__":
    main()
