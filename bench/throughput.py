"""Measure tiny durable tasks per second: accepted over HTTP, and finished by one and by two workers.

    python bench/throughput.py [--only intake|processing] [--heavy] [--rounds 3] [--tasks 200000] [--cpu] [--json]

Everything is measured in turns on fresh databases, beside the limits of the machine. README.md lists the comparisons.
"""

import argparse
from collections.abc import Mapping

import inside
import yardstick
from cpu import Meter
from http_load import Clients, for_seconds, post, times, tiny
from product import HttpServer, Product, running
from report import Compared, Costs, show
from rig import Rig, say

CONNECTIONS = (1, 16, 64)
_ARRAY = 500
_ARRAY_CONNECTIONS = 4
_SINGLES_CONNECTIONS = 64
_WARM_SECONDS = 0.5
_WORKERS = (1, 2)
_SINGLES_SHARE = 5
"""Single submits take longer, so there are a fifth as many tasks as in arrays."""

_BARE_EXPECTED = {64: 0.5}
_INSERT_EXPECTED = {1: 0.9}
_HEAVY_SHARE = 10
"""Heavy tasks are claimed one by one. With fewer, the start of the workers would be much of their cost."""
_HEAVY = "heavy, in arrays of 500"
_TINY_SHAPES = {"in arrays of 500": yardstick.ARRAYS, "singly": yardstick.SINGLES}
_HEAVY_SHAPES = {_HEAVY: yardstick.ONE_BY_ONE}
_LIMITED = ("in arrays of 500", 2)
"""The processing that is compared with the database's own limit, too."""
_LIMIT_EXPECTED = 0.7
_SHAPE_EXPECTED = {"in arrays of 500": 0.75, "singly": 0.65}
_NO_WORK = {"sleep_seconds": 0}
"""A task with this payload is heavy: its processor may sleep."""


class Intake:
    """Submits with the workers stopped: the API, a bare app, and one with an INSERT per request.

    They take turns at each number of connections.
    """

    def __init__(self, rig: Rig, seconds: float) -> None:
        self._rig, self._seconds, self.costs = rig, seconds, Costs()
        self._bare = {
            n: Compared(_single(n), "tasks/s", "bare Falcon app, no database", _BARE_EXPECTED.get(n))
            for n in CONNECTIONS
        }
        self._insert = {
            n: Compared(_single(n), "tasks/s", "one INSERT per request", _INSERT_EXPECTED.get(n)) for n in CONNECTIONS
        }
        self._arrays = Compared("submits, arrays of 500", "tasks/s", "bare INSERT of 500, one connection")
        self._arrays_alone = Compared("submits, arrays of 500", "tasks/s", at_least=30_000)

    @property
    def results(self) -> list[Compared]:
        return [*self._bare.values(), *self._insert.values(), self._arrays, self._arrays_alone]

    def round(self) -> None:
        with running(self._rig) as product, self._rig.place() as place:
            yardstick.prepare(place)
            answer = product.answer()
            with (
                product.beside("without_database", answer) as bare,
                product.beside("one_insert", answer, place.dsn) as insert,
            ):
                for connections in CONNECTIONS:
                    self._singles(product, connections, bare, insert)
            self._rig.checkpoint()
            inserted = yardstick.insert_rate(place, self._seconds, _ARRAY)
            self._rig.checkpoint()
            accepted = self._rate(
                "ours", product.server, post("/submit", tiny(_ARRAY), product.key), _ARRAY_CONNECTIONS, _ARRAY
            )
            self._arrays.add(accepted, inserted)
            self._arrays_alone.add(accepted)
            say(f"  arrays of {_ARRAY}: {accepted:,.0f} tasks/s; bare INSERT: {inserted:,.0f}")

    def _singles(self, product: Product, connections: int, bare: HttpServer, insert: HttpServer) -> None:
        request = post("/submit", tiny(), product.key)
        without = self._rate("bare app", bare, request, connections)
        inserts = self._rate("one INSERT", insert, request, connections)
        ours = self._rate("ours", product.server, request, connections)
        product.wait_settled()
        self._bare[connections].add(ours, without)
        self._insert[connections].add(ours, inserts)
        say(
            f"  {connections} connections: {ours:,.0f} tasks/s; "
            f"bare app: {without:,.0f}; one INSERT each: {inserts:,.0f}"
        )

    def _rate(self, side: str, server: HttpServer, request: bytes, connections: int, tasks: int = 1) -> float:
        """Return tasks per second, with `tasks` in each request."""
        with Clients(server.port, connections) as clients:
            clients.run(for_seconds(request, _WARM_SECONDS))
            meter = Meter({"PostgreSQL": self._rig.postgres.pid, "RabbitMQ": self._rig.rabbitmq.pid, "API": server.pid})
            load = clients.run(for_seconds(request, self._seconds))
        measured = _single(connections) if tasks == 1 else f"submits, arrays of {tasks}"
        self.costs.add(measured, side, meter.per_task(load.requests * tasks))
        return load.rate * tasks


class Processing:
    """A backlog is submitted over HTTP with the workers stopped, then the workers start.

    The database tells the time, from the first claim to the last finish.
    """

    def __init__(self, rig: Rig, tasks: int, shapes: Mapping[str, yardstick.Shape]) -> None:
        self._rig, self._shapes, self.costs = rig, shapes, Costs()
        self._tasks = {
            "in arrays of 500": tasks,
            "singly": tasks // _SINGLES_SHARE,
            _HEAVY: tasks // _HEAVY_SHARE,
        }
        self._compared = {
            (how, workers): Compared(
                f"processing, submitted {how}, {workers} worker{'s' if workers > 1 else ''}",
                "tasks/s",
                f"yardstick, {shape.per_hint} per hint, up to {shape.batch}",
                _SHAPE_EXPECTED.get(how) if workers == 2 else None,
            )
            for how, shape in shapes.items()
            for workers in _WORKERS
        }
        expected = zip(inside.BATCHES, (_LIMIT_EXPECTED, None), strict=True)
        self._limited = {
            batch: Compared(
                f"the same, submitted {_LIMITED[0]}", "tasks/s", f"PostgreSQL alone, {batch} at a time", at_least
            )
            for batch, at_least in expected
        }

    @property
    def results(self) -> list[Compared]:
        return [*self._compared.values(), *(limited for limited in self._limited.values() if limited.ours)]

    def round(self) -> None:
        for (how, workers), compared in self._compared.items():
            tasks = self._tasks[how]
            with self._rig.place() as place:
                yardstick.fill(place, self._shapes[how], tasks)
                meter = Meter(self._servers())
                theirs = yardstick.drain_rate(place, self._shapes[how], tasks, workers)
                self.costs.add(compared.name, "yardstick", _workers_named(meter.per_task(tasks)))
            with running(self._rig) as product:
                ours = self._drain_rate(product, how, workers, compared.name)
            compared.add(ours, theirs)
            say(f"  {compared.name}: {ours:,.0f} tasks/s; {compared.beside}: {theirs:,.0f}")
            if (how, workers) == _LIMITED:
                self._compare_with_limit(ours)

    def _compare_with_limit(self, ours: float) -> None:
        for batch, limited in self._limited.items():
            with self._rig.place() as place:
                limit = inside.drain_rate(place, self._tasks[_LIMITED[0]], batch)
            limited.add(ours, limit)
            say(f"  {limited.beside}, {inside.SESSIONS} sessions: {limit:,.0f} tasks/s")

    def _drain_rate(self, product: Product, how: str, workers: int, measured: str) -> float:
        tasks = self._tasks[how]
        if how == _HEAVY:
            with product.keeper():  # each task has a hint of its own, and an API process keeps only some of them
                submit_backlog(product, tasks, _ARRAY, {"payload": _NO_WORK})
        else:
            submit_backlog(product, tasks, 0 if how == "singly" else _ARRAY)
        product.start_workers(workers)
        product.wait_workers(1)  # the start of a worker is not part of a task's cost
        meter = Meter({**self._servers(), "API": product.server.pid, "workers": product.supervisor_pid})
        product.wait_drained()
        self.costs.add(measured, "ours", meter.per_task(tasks))
        return finished_rate(product, tasks)

    def _servers(self) -> dict[str, int]:
        return {"PostgreSQL": self._rig.postgres.pid, "RabbitMQ": self._rig.rabbitmq.pid}


def submit_backlog(product: Product, tasks: int, array: int = _ARRAY, fields: Mapping[str, object] = {}) -> None:
    """Submit tasks over HTTP, in arrays of this size, or singly (0). Wait until all hints are confirmed."""
    with Clients(product.port, _ARRAY_CONNECTIONS if array else _SINGLES_CONNECTIONS) as clients:
        request = post("/submit", tiny(array or None, **fields), product.key)
        clients.run(times(request, tasks // (array or 1)))
    product.wait_settled()


def finished_rate(product: Product, tasks: int) -> float:
    """Stop the workers, and return the tasks per second from the first claim to the last finish."""
    product.stop_workers()
    done, seconds = product.rows(_FIRST_TO_LAST)[0]
    if done != tasks:
        raise RuntimeError(f"{done} of {tasks} tasks were finished")
    return float(done / seconds)


_FIRST_TO_LAST = """SELECT count(*), extract(epoch FROM max(at) - (SELECT min(started_at) FROM tasks))::float8
FROM logs
WHERE event = 'completed'"""


def _workers_named(cost: dict[str, float]) -> dict[str, float]:
    """Count the benchmark itself as "workers": the yardstick's workers are its children."""
    return {("workers" if name == "bench itself" else name): value for name, value in cost.items()}


def _single(connections: int) -> str:
    return f"submits, single, {connections} connection{'s' if connections > 1 else ''}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("intake", "processing"))
    parser.add_argument("--heavy", action="store_true", help="only tasks without work that are claimed one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement of the intake")
    parser.add_argument("--tasks", type=int, default=200_000, help="tasks of one backlog, a multiple of 2500")
    parser.add_argument(
        "--cpu", action="store_true", help="also show the processor time per task, by group of processes"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    with Rig() as rig:
        parts: list[Intake | Processing] = []
        if arguments.only != "processing" and not arguments.heavy:
            parts.append(Intake(rig, arguments.seconds))
        if arguments.only != "intake":
            parts.append(Processing(rig, arguments.tasks, _HEAVY_SHAPES if arguments.heavy else _TINY_SHAPES))
        for number in range(1, arguments.rounds + 1):
            say(f"round {number} of {arguments.rounds}")
            for part in parts:
                part.round()
    show(
        "throughput",
        [result for part in parts for result in part.results],
        arguments.json,
        [part.costs for part in parts] if arguments.cpu or arguments.heavy else [],
    )


if __name__ == "__main__":
    main()
