"""The yardstick: the protocol alone, with its bare statements, hints and events, in worker processes of one thread.

It has no validation, no heartbeats, no limits and no crash safety beyond the statements. The product is measured beside
it in the same run.
"""

import multiprocessing
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orjson
import pika
import psycopg
from pika.adapters.blocking_connection import BlockingChannel

from dtqs.deadline import Deadline
from dtqs.uuid7 import uuid7

QUEUE, EVENTS = "yardstick_queue", "yardstick_events"
PAYLOAD = '{"a":1}'
_STATEMENTS = {
    name: (Path(__file__).parent / "sql" / f"{name}.sql").read_bytes()
    for name in ("schema", "insert", "claim", "finish")
}
_INSERTED_AT_ONCE = 500
_IDLE_SECONDS = 1.0
_LONGEST_SECONDS = 600.0
_CONTEXT = multiprocessing.get_context("fork")
Database = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A database with the yardstick's schema, and a broker."""

    dsn: str
    amqp_url: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The number of tasks per hint, tasks per claim, and hints that a worker holds."""

    per_hint: int
    batch: int
    prefetch: int


SINGLES = Shape(per_hint=1, batch=250, prefetch=1000)
ARRAYS = Shape(per_hint=50, batch=250, prefetch=8)
ONE_BY_ONE = Shape(per_hint=1, batch=1, prefetch=2)


def prepare(place: Place) -> None:
    """Create the tables, the queue, the exchange, and a queue for the events, which has no reader."""
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(_STATEMENTS["schema"])
    with _broker(place) as broker:
        channel = broker.channel()
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True, arguments={"x-max-priority": 10})
        channel.exchange_declare(EVENTS, "fanout")
        watcher = channel.queue_declare("yardstick_api").method.queue
        channel.queue_purge(watcher)
        channel.queue_bind(watcher, EVENTS)


def insert(database: Database, count: int) -> list[str]:
    """Store tasks in one statement and commit; return their ids."""
    ids = [uuid7() for _ in range(count)]
    database.execute(_STATEMENTS["insert"], {"ids": _array(ids), "payloads": [PAYLOAD] * count})
    return ids


def connect(dsn: str) -> Database:
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=0)


def insert_rate(place: Place, seconds: float, at_once: int) -> float:
    """Return the tasks per second that one connection stores, with `at_once` tasks per statement."""
    with connect(place.dsn) as database:
        count, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            count += len(insert(database, at_once))
        return count / (time.monotonic() - start)


def fill(place: Place, shape: Shape, tasks: int) -> None:
    """Create the backlog and its hints."""
    prepare(place)
    with connect(place.dsn) as database:
        ids = [task_id for _ in range(tasks // _INSERTED_AT_ONCE) for task_id in insert(database, _INSERTED_AT_ONCE)]
    with _broker(place) as broker:
        _hint(broker.channel(), ids, shape.per_hint)


def drain_rate(place: Place, shape: Shape, tasks: int, workers: int) -> float:
    """Let workers finish the backlog; return tasks per second, from the first hint to the last finish."""
    # pipes and no queue: a queue's feeder thread would add work to the worker
    pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(workers)]
    crew = [_start(_drain, place, shape, sending) for _, sending in pipes]
    try:
        reports = [_receive_report(receiving) for receiving, _ in pipes]
    finally:
        stop(crew)
    done = sum(count for count, _, _ in reports)
    if done != tasks:
        raise RuntimeError(f"the yardstick finished {done} of {tasks} tasks")
    return done / (max(last for _, _, last in reports) - min(first for _, first, _ in reports if first))


class Chain:
    """A client and its workers without HTTP, one task after the other: commit, hint, claim, finish, event."""

    def __init__(self, place: Place, workers: int) -> None:
        prepare(place)
        self._crew = [_start(_serve, place, ONE_BY_ONE) for _ in range(workers)]
        self._database = connect(place.dsn)
        self._publisher, self._consumer = _broker(place), _broker(place)
        self._channel, channel = self._publisher.channel(), self._consumer.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, EVENTS)
        self._seen: set[str] = set()
        channel.basic_consume(queue, lambda _c, _m, _p, body: self._see(body), auto_ack=True)

    @property
    def pids(self) -> list[int]:
        """The ids of its worker processes."""
        return [process.pid for process in self._crew if process.pid is not None]

    def once(self) -> float:
        """Return the seconds from before the insert to the arrival of the event. Raises TimeoutError."""
        start, deadline = time.monotonic(), Deadline(30)
        (task_id,) = insert(self._database, 1)
        _hint(self._channel, [task_id], 1)
        while task_id not in self._seen:
            if deadline.passed:
                raise TimeoutError("the yardstick's event did not arrive within 30 s")
            self._consumer.process_data_events(time_limit=1)
        self._seen.discard(task_id)
        return time.monotonic() - start

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats while the product is measured."""
        self._publisher.process_data_events(time_limit=0)
        self._consumer.process_data_events(time_limit=0)

    def close(self) -> None:
        stop(self._crew)
        self._database.close()
        self._publisher.close()
        self._consumer.close()

    def _see(self, body: bytes) -> None:
        self._seen.update(task_id for _, task_id, _ in orjson.loads(body))


def stop(crew: Sequence[BaseProcess]) -> None:
    """End the worker processes that still run."""
    for process in crew:
        process.terminate()
    for process in crew:
        process.join(10)


class _Worker:
    """Take hints up to the batch size, claim, ack, run (echo), finish, and publish one event message."""

    def __init__(self, place: Place, shape: Shape) -> None:
        self._batch, self._id, self._database = shape.batch, uuid7(), connect(place.dsn)
        self._database.execute("INSERT INTO workers (id) VALUES (%s)", (self._id,))
        # events on a connection of their own: a blocked broker must not stop acks
        self._events, self._broker = _broker(place).channel(), _broker(place)
        self._channel = self._broker.channel()
        self._channel.basic_qos(prefetch_count=shape.prefetch)
        self._held: list[tuple[int, bytes]] = []
        self._channel.basic_consume(QUEUE, lambda _c, method, _p, body: self._held.append((method.delivery_tag, body)))

    def has_hints(self) -> bool:
        """Wait for up to 50 ms and tell whether there are hints."""
        self._broker.process_data_events(time_limit=0 if self._held else 0.05)
        return bool(self._held)

    def run_batch(self) -> int:
        """Run one batch; return its number of tasks."""
        ids, count, tag, held, lease_id = [], 0, 0, self._held, uuid7()
        while held and count < self._batch:
            tag, body = held.pop(0)
            ids.append(body.decode())
            count += (len(body) + 1) // 37
        rows = self._database.execute(
            _STATEMENTS["claim"], {"worker_id": self._id, "lease_id": lease_id, "ids": _array(ids), "named": count}
        ).fetchall()
        self._channel.basic_ack(tag, multiple=True)
        if rows:
            self._finish(lease_id, rows)
        return len(rows)

    def _finish(self, lease_id: str, rows: Sequence[tuple[Any, ...]]) -> None:
        results = [orjson.dumps(orjson.loads(payload)).decode() for _, payload, _ in rows]
        settled = {
            "lease_id": lease_id,
            "ids": _array([row[0] for row in rows]),
            "outcomes": _array(["completed"] * len(rows)),
            "results": results,
            "delays": _array(["0"] * len(rows)),
        }
        log = self._database.execute(_STATEMENTS["finish"], settled).fetchall()
        self._events.basic_publish(EVENTS, "", orjson.dumps(log))


def _drain(place: Place, shape: Shape, sending: Any) -> None:
    worker, done, first, last = _Worker(place, shape), 0, 0.0, time.monotonic()
    while time.monotonic() - last < _IDLE_SECONDS:
        if worker.has_hints():
            first = first or time.monotonic()
            done += worker.run_batch()
            last = time.monotonic()
    sending.send((done, first, last))


def _serve(place: Place, shape: Shape) -> None:
    worker, deadline = _Worker(place, shape), Deadline(_LONGEST_SECONDS)
    while not deadline.passed:
        if worker.has_hints():
            worker.run_batch()


def _start(work: Any, *arguments: Any) -> BaseProcess:
    process = _CONTEXT.Process(target=_run_without_interrupt, args=(work, *arguments), daemon=True)
    process.start()
    return process


def _run_without_interrupt(work: Any, *arguments: Any) -> None:
    """Ignore Ctrl-C, which reaches the workers too: the parent process ends them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        work(*arguments)


def _receive_report(receiving: Any) -> tuple[int, float, float]:
    if not receiving.poll(_LONGEST_SECONDS):
        raise TimeoutError(f"a worker of the yardstick did not finish within {_LONGEST_SECONDS:g} s")
    count, first, last = receiving.recv()
    return count, first, last


def _broker(place: Place) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(place.amqp_url))


def _hint(channel: BlockingChannel, ids: Sequence[str], per_hint: int) -> None:
    properties = pika.BasicProperties(delivery_mode=2, priority=5)
    for start in range(0, len(ids), per_hint):
        channel.basic_publish("", QUEUE, ",".join(ids[start : start + per_hint]).encode(), properties)


def _array(texts: Sequence[str]) -> str:
    """Return an array as one text literal: 37 bytes for each id, without a Python object each."""
    return "{" + ",".join(texts) + "}"
