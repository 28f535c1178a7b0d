"""Parts of a random stress of the store: a database with faults, and players for all processes that use it.

The players act as workers, keepers, publishers and clients. tests/integration/test_stress.py asserts the laws.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg

from dtqs.deadline import Deadline
from dtqs.errors import Conflict, LeaseLost, StoreUnavailable
from dtqs.scoreboard import Death
from dtqs.settlement import Kind, Settlement
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID, LONG_AGO
from dtqs.store.driver.connection import LimitedConnection, Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.tasks import IdempotencyKey
from dtqs.store.workers import WorkerIdentity
from dtqs.task import Claimed, Effect, NewTask, OutputFile
from dtqs.uuid7 import uuid7
from tests.support.fix_store import BOOT, DIED, NODE, REPORT, World, confirmed

T = TypeVar("T")
MAX_RETRIES = 3


class FaultyDatabase(Database):
    """Waits before commits, gives up statements that the server still runs, and loses replies after commits."""

    def __init__(self, world: World, name: str, chance: random.Random) -> None:
        super().__init__(world.section, 1, name)
        self._chance = chance
        self.deadlocks = 0

    @contextmanager
    def _connection(self) -> Iterator[LimitedConnection]:
        with super()._connection() as connection:
            usual = connection.limit_seconds
            if self._chance.random() < 0.02:
                connection.limit_seconds = self._chance.uniform(0.0002, 0.004)
            try:
                yield connection
            except psycopg.errors.DeadlockDetected:
                self.deadlocks += 1
                raise
            finally:
                connection.limit_seconds = usual
            if self._chance.random() < 0.02:
                connection.close()
                raise psycopg.OperationalError("the reply was lost")

    def run(
        self,
        name: str,
        parameters: Any = None,
        deadline: Deadline | None = None,
        few: bool = False,
        again: str = "",
    ) -> list[Row]:
        if self._chance.random() < 0.2:
            with suppress(StoreUnavailable):
                return self.run_once(again or name, parameters, few)
        return super().run(name, parameters, deadline, few, again)

    def run_once(self, name: str, parameters: Any = None, few: bool = False) -> list[Row]:
        if self._chance.random() > 0.2:
            return super().run_once(name, parameters, few)
        return self.transaction_once(lambda run: run(name, parameters, few), nap=True)

    def transaction_once(self, work: Callable[[Run], T], nap: bool | None = None) -> T:
        if nap is None and self._chance.random() > 0.2:
            return super().transaction_once(work)

        def napping(run: Run) -> T:
            result = work(run)
            time.sleep(self._chance.uniform(0, 0.008))  # the fault itself: others run into the uncommitted work
            return result

        return super().transaction_once(napping)


class Scene:
    """The knowledge of all parts: the accepted tasks, all workers that ever registered, and a count of each action."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.workers: list[str] = []
        self.counts: dict[str, int] = {}

    def some_tasks(self, chance: random.Random, most: int) -> list[str]:
        """Return some tasks in no order, mostly from the newest, since the old ones have ended."""
        known = self.tasks[-150:] if chance.random() < 0.9 else self.tasks
        return list({chance.choice(known) for _ in range(chance.randint(1, most))}) if known else []

    def count(self, action: str, number: int = 1) -> None:
        self.counts[action] = self.counts.get(action, 0) + number


class Part:
    """Plays one process in its own thread, with its own store and random numbers.

    `turn` may end with StoreUnavailable at any point.
    """

    def __init__(self, scene: Scene, store: Store, chance: random.Random) -> None:
        self.scene, self.store, self.chance = scene, store, chance

    def turn(self) -> None:
        raise NotImplementedError


class Client(Part):
    """Submits, repeats submits, cancels, and retries failed tasks."""

    def turn(self) -> None:
        self.chance.choice([self._submit, self._submit, self._submit_once, self._cancel, self._retry])()

    def _submit(self) -> None:
        tasks = self._new_tasks()
        self.store.tasks.insert(tasks)
        if self.chance.random() < 0.2:
            self.store.tasks.insert(tasks)
        self._accepted([task.task_id for task in tasks])

    def _submit_once(self) -> None:
        key = IdempotencyKey(NODE, str(self.chance.randint(0, 50)), b"body", 24.0)
        first, _ = self.store.tasks.insert_once(self._new_tasks(), key)
        self._accepted([task_id for task_id in first if task_id not in self.scene.tasks[-1000:]])

    def _new_tasks(self) -> list[NewTask]:
        light, delay = self.chance.random() < 0.7, self.chance.choice([0.0, 0.0, 0.0, 0.1])
        count = self.chance.randint(1, 12) if light else 1
        return [
            NewTask(uuid7(), "echo", light, "{}", max_retries=MAX_RETRIES, delay_seconds=delay) for _ in range(count)
        ]

    def _accepted(self, task_ids: list[str]) -> None:
        self.scene.tasks.extend(task_ids)
        self.scene.count("submitted", len(task_ids))

    def _cancel(self) -> None:
        cancelled = self.store.tasks.cancel(self.scene.some_tasks(self.chance, 4))
        self.scene.count("cancelled at once", sum(c.ended for c in cancelled))
        self.scene.count("cancel requests", sum(not c.ended for c in cancelled))

    def _retry(self) -> None:
        for task_id in self.scene.some_tasks(self.chance, 1):
            try:
                retry = self.store.tasks.retry(task_id, uuid7())
            except Conflict:
                return
            if retry.fresh:
                self._accepted([retry.task_id])


class Publisher(Part):
    """Relays, puts far out, puts off and repairs.

    Nobody reads its hints, since any worker may name any task at any time.
    """

    def turn(self) -> None:
        self.chance.choice([self._relay, self._relay, self._put_off, self._far_out, self._repair])()

    def _relay(self) -> None:
        dues, _, _ = self.store.backlog.relay(LONG_AGO, 20)
        self.scene.count("relayed", len(dues))
        self.store.backlog.far_out(confirmed([due for due in dues if self.chance.random() < 0.5]))

    def _put_off(self) -> None:
        self.store.backlog.put_off(self.scene.some_tasks(self.chance, 5), "echo", 0.05)

    def _far_out(self) -> None:
        dues = self.store.backlog.due(self.scene.some_tasks(self.chance, 20))
        self.store.backlog.far_out(confirmed(dues))

    def _repair(self) -> None:
        self.store.backlog.repair(
            self.chance.choice([FIRST_ID, *self.scene.some_tasks(self.chance, 1)]), 50, self.chance.choice([0.0, 0.05])
        )


class Keeper(Part):
    """Marks workers dead: dead ones, ones that only seem dead, and running ones."""

    def turn(self) -> None:
        if self.chance.random() < 0.5:
            seen = self.store.workers.heartbeats()
            time.sleep(self.chance.uniform(0, 0.3))
            for worker_id, heartbeat in self.chance.sample(sorted(seen.items()), min(3, len(seen))):
                self._reclaim(worker_id, heartbeat.at)
        elif self.scene.workers:
            self._reclaim(self.chance.choice(self.scene.workers[-8:]), None)
        time.sleep(self.chance.uniform(0, 0.05))  # its period: without it the workers would get nothing done

    def _reclaim(self, worker_id: str, seen: str | None) -> None:
        known = Death(
            worker_id,
            "signal 9 (SIGKILL)",
            *self.chance.choice([(None, True), (None, False), (self.chance.choice(self.scene.tasks or [NODE]), False)]),
        )
        refs = self.store.leases.reclaim(worker_id, DIED, self.chance.choice([None, known]), seen)
        self.scene.count("reclaimed", len(refs or ()))


class Worker(Part):
    """Claims, runs, reports, finishes in every way, gives back, dies, and goes on after it was marked dead."""

    def __init__(self, scene: Scene, store: Store, chance: random.Random) -> None:
        super().__init__(scene, store, chance)
        self._begin()

    def turn(self) -> None:
        if not self._registered:
            self._register()
        steps = (
            [self._claim] * (4 if len(self._held) < 3 else 0) + [self._beat] + [self._settle] * (6 if self._held else 0)
        )
        if self.chance.random() < 0.01:
            self._begin()  # it dies, and a keeper must find its leases
        elif self.chance.random() < 0.005:
            self.store.workers.retire(self._id)
            self._begin()
        else:
            self.chance.choice(steps)()

    def _begin(self) -> None:
        self._id, self._registered = uuid7(), False
        self._known: set[str] = set()
        self._held: dict[str, list[Claimed]] = {}

    def _register(self) -> None:
        self.store.workers.register(WorkerIdentity(self._id, NODE, BOOT, "node", "default", 0, 1))
        self._registered = True
        self.scene.workers.append(self._id)

    def _claim(self) -> None:
        lease_id, wanted = uuid7(), self.scene.some_tasks(self.chance, self.chance.choice([1, 1, 12]))
        self._known.add(lease_id)
        try:
            claimed, _ = self.store.leases.claim(self._id, lease_id, wanted)
        except StoreUnavailable:
            self._known.discard(lease_id)
            raise
        if claimed:
            assert {task.task_id for task in claimed} <= set(wanted)
            assert all(task.attempt <= MAX_RETRIES + 1 for task in claimed)
            self._held[lease_id] = claimed
            self.scene.count("claimed", len(claimed))
        else:
            self._known.discard(lease_id)

    def _beat(self) -> None:
        if not self.store.workers.beat(self._id, REPORT):
            self.scene.count("found itself marked dead")
            if self.chance.random() < 0.7:  # else it was frozen, and goes on with its old leases
                self._begin()
            return
        for held in self.store.leases.held(self._id):
            if held.lease_id not in self._known:
                self.store.leases.give_back(held.lease_id)
                self.scene.count("unknown leases given back")

    def _settle(self) -> None:
        lease_id = self.chance.choice(list(self._held))
        claimed = self._held[lease_id]
        if len(claimed) == 1 and self.chance.random() < 0.4:
            self._run_alone(lease_id, claimed[0])
        if len(claimed) > 1 and self.chance.random() < 0.4:
            self._finish_part(lease_id, claimed)
        else:
            named = [] if self.chance.random() < 0.1 else [task for task in claimed if self.chance.random() < 0.9]
            refs = self._until_answered(
                lambda: self.store.leases.finish(lease_id, [self._settlement(task) for task in named])
            )
            assert {task_id for _, task_id, _ in refs} <= {task.task_id for task in claimed}
            self.scene.count("finished", len(refs))
            self._forget(lease_id)

    def _run_alone(self, lease_id: str, task: Claimed) -> None:
        try:
            self.store.leases.report(
                lease_id, task.task_id, task.attempt, "progress", "info", "half", {"fraction": 0.5}
            )
            if self.chance.random() < 0.3:
                self.store.leases.mark_effect(lease_id, task.task_id, self.chance.choice(list(Effect)))
        except LeaseLost:
            self.scene.count("reports refused")

    def _finish_part(self, lease_id: str, claimed: list[Claimed]) -> None:
        following, cut = uuid7(), self.chance.randint(1, len(claimed) - 1)
        done, keep = claimed[:cut], claimed[cut + self.chance.randint(0, 1) :]
        self._known.add(following)
        ids = [task.task_id for task in keep]
        self._until_answered(
            lambda: self.store.leases.finish_part(
                self._id, lease_id, following, [self._settlement(task) for task in done], ids
            )
        )
        self._forget(lease_id)
        # The answer to a repeated finish does not say whether the first one had landed; the database does.
        if following in self._until_answered(lambda: [held.lease_id for held in self.store.leases.held(self._id)]):
            self._held[following] = keep
            self.scene.count("went on after a part")
        else:
            self._known.discard(following)

    def _settlement(self, task: Claimed) -> Settlement:
        kind = self.chance.choice([Kind.COMPLETED, Kind.COMPLETED, Kind.RETRY, Kind.UNSPENT, Kind.FAILED])
        if kind is Kind.COMPLETED:
            return Settlement(task.task_id, kind, "{}", files=(OutputFile(uuid7(), "x", "text/plain", 1, "ab"),))
        return Settlement(
            task.task_id,
            kind,
            None if kind is Kind.UNSPENT else '{"message": "no luck"}',
            self.chance.choice([0.0, 0.05]),
        )

    def _until_answered(self, call: Callable[[], list[T]]) -> list[T]:
        while True:
            try:
                return call()
            except StoreUnavailable:
                self.scene.count("repeated")

    def _forget(self, lease_id: str) -> None:
        self._known.discard(lease_id)
        del self._held[lease_id]
