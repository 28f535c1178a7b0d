"""How many tiny durable tasks a second: taken in over HTTP, and finished by one and by two workers; beside what the machine itself can do.

    python bench/throughput.py [--only intake|processing] [--rounds 3] [--seconds 3] [--tasks 200000] [--cpu] [--json]

Everything is measured in turns on fresh databases. See README.md for what stands beside what.
"""

import argparse

import yardstick
from cpu import Meter
from http_load import Clients, for_seconds, post, times, tiny
from product import HttpServer, Product, running
from report import Compared, Costs, show
from rig import Rig, say

CONNECTIONS = (1, 16, 64)
_ARRAY = 500
_ARRAY_CONNECTIONS = 4
_WARM_SECONDS = 0.5
_WORKERS = (1, 2)
_SINGLES_SHARE = 5
"""Tasks submitted singly are a fifth of those in arrays: they take longer."""

_BARE_EXPECTED = {64: 0.5}
_INSERT_EXPECTED = {1: 0.9}
_SHAPES = {"in arrays of 500": yardstick.ARRAYS, "singly": yardstick.SINGLES}
_SHAPE_EXPECTED = {"in arrays of 500": 0.75, "singly": 0.65}


class Intake:
    """Submits, workers stopped: the API, a bare app, and one with an INSERT per request, at each number of connections in turns."""

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
            taken = self._rate(
                "ours", product.server, post("/submit", tiny(_ARRAY), product.key), _ARRAY_CONNECTIONS, _ARRAY
            )
            self._arrays.add(taken, inserted)
            self._arrays_alone.add(taken)
            say(f"  arrays of {_ARRAY}: {taken:,.0f} tasks/s; bare INSERT: {inserted:,.0f}")

    def _singles(self, product: Product, connections: int, bare: HttpServer, insert: HttpServer) -> None:
        request = post("/submit", tiny(), product.key)
        without = self._rate("bare app", bare, request, connections)
        inserts = self._rate("one INSERT", insert, request, connections)
        ours = self._rate("ours", product.server, request, connections)
        product.wait_settled()
        self._bare[connections].add(ours, without)
        self._insert[connections].add(ours, inserts)
        say(
            f"  {connections} connections: {ours:,.0f} tasks/s; bare app: {without:,.0f}; one INSERT each: {inserts:,.0f}"
        )

    def _rate(self, whose: str, server: HttpServer, request: bytes, connections: int, tasks: int = 1) -> float:
        """Return tasks a second, so many in each request."""
        with Clients(server.port, connections) as clients:
            clients.run(for_seconds(request, _WARM_SECONDS))
            meter = Meter({"PostgreSQL": self._rig.postgres.pid, "RabbitMQ": self._rig.rabbitmq.pid, "API": server.pid})
            load = clients.run(for_seconds(request, self._seconds))
        what = _single(connections) if tasks == 1 else f"submits, arrays of {tasks}"
        self.costs.add(what, whose, meter.per_task(load.requests * tasks))
        return load.rate * tasks


class Processing:
    """A backlog first, submitted over HTTP with the workers stopped; then the workers. Timed by the database, from the first claim to the last finish."""

    def __init__(self, rig: Rig, tasks: int) -> None:
        self._rig, self.costs = rig, Costs()
        self._tasks = {"in arrays of 500": tasks, "singly": tasks // _SINGLES_SHARE}
        self._compared = {
            (how, workers): Compared(
                f"processing, submitted {how}, {workers} worker{'s' if workers > 1 else ''}", "tasks/s",
                f"yardstick, {shape.per_hint} per hint, up to {shape.batch}", _SHAPE_EXPECTED[how] if workers == 2 else None,
            )
            for how, shape in _SHAPES.items() for workers in _WORKERS
        }  # fmt: skip

    @property
    def results(self) -> list[Compared]:
        return list(self._compared.values())

    def round(self) -> None:
        for (how, workers), compared in self._compared.items():
            tasks = self._tasks[how]
            with self._rig.place() as place:
                yardstick.fill(place, _SHAPES[how], tasks)
                meter = Meter(self._servers())
                theirs = yardstick.drain_rate(place, _SHAPES[how], tasks, workers)
                self.costs.add(compared.what, "yardstick", _workers_named(meter.per_task(tasks)))
            with running(self._rig) as product:
                ours = self._drain_rate(product, how, workers, compared.what)
            compared.add(ours, theirs)
            say(f"  {compared.what}: {ours:,.0f} tasks/s; {compared.beside}: {theirs:,.0f}")

    def _drain_rate(self, product: Product, how: str, workers: int, what: str) -> float:
        single, tasks = how == "singly", self._tasks[how]
        with Clients(product.port, 64 if single else _ARRAY_CONNECTIONS) as clients:
            clients.run(
                times(
                    post("/submit", tiny(None if single else _ARRAY), product.key), tasks if single else tasks // _ARRAY
                )
            )
        product.wait_settled()
        product.start_workers(workers)
        product.wait_workers(1)  # what a start costs is no part of a task
        meter = Meter({**self._servers(), "API": product.server.pid, "workers": product.supervisor_pid})
        product.wait_drained()
        self.costs.add(what, "ours", meter.per_task(tasks))
        product.stop_workers()
        done, seconds = product.rows(_FIRST_TO_LAST)[0]
        if done != tasks:
            raise RuntimeError(f"{done} of {tasks} tasks were finished")
        return float(done / seconds)

    def _servers(self) -> dict[str, int]:
        return {"PostgreSQL": self._rig.postgres.pid, "RabbitMQ": self._rig.rabbitmq.pid}


_FIRST_TO_LAST = """SELECT count(*), extract(epoch FROM max(l.at) - (SELECT min(started_at) FROM tasks))::float8 FROM logs l WHERE l.event = 'completed'"""


def _workers_named(cost: dict[str, float]) -> dict[str, float]:
    """The yardstick's workers are children of ours."""
    return {("workers" if name == "bench itself" else name): value for name, value in cost.items()}


def _single(connections: int) -> str:
    return f"submits, single, {connections} connection{'s' if connections > 1 else ''}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("intake", "processing"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement of the intake")
    parser.add_argument("--tasks", type=int, default=200_000, help="tasks of one backlog, a multiple of 2500")
    parser.add_argument("--cpu", action="store_true", help="show also what a task costs the processor, and where")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    with Rig() as rig:
        parts: list[Intake | Processing] = []
        if arguments.only != "processing":
            parts.append(Intake(rig, arguments.seconds))
        if arguments.only != "intake":
            parts.append(Processing(rig, arguments.tasks))
        for number in range(1, arguments.rounds + 1):
            say(f"round {number} of {arguments.rounds}")
            for part in parts:
                part.round()
    show(
        "throughput",
        [result for part in parts for result in part.results],
        arguments.json,
        [part.costs for part in parts] if arguments.cpu else [],
    )


if __name__ == "__main__":
    main()
