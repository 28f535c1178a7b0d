"""Random stress of the real store with lost replies, killed backends and pauses; then the laws are checked.

Workers, keepers, publishers and clients run in any order.
STRESS_SEED repeats the choices of each part (not the order of the threads), STRESS_SECONDS sets the length.
The seed is printed.
"""

import os
import random
import threading
from collections.abc import Sequence

import pytest

from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from tests.support.fix_store import DIED, StoreOn, World, settled
from tests.support.stress import MAX_RETRIES, Client, FaultyDatabase, Keeper, Part, Publisher, Scene, Worker

SECONDS = float(os.environ.get("STRESS_SECONDS", "8"))
PARTS: Sequence[type[Part]] = (Worker, Worker, Worker, Worker, Client, Client, Publisher, Keeper)


class Stage:
    """Runs the parts in threads, kills their backends, and watches the laws meanwhile."""

    def __init__(self, world: World, seed: str) -> None:
        self.world, self.seed, self.scene = world, seed, Scene()
        self.databases: list[FaultyDatabase] = []
        self._end, self._failed = Deadline(SECONDS), threading.Event()
        self._errors: list[BaseException] = []
        self._outcomes: dict[str, tuple[object, ...]] = {}

    def play(self) -> None:
        threads = [
            threading.Thread(target=self._run, args=(part, number), name=f"{part.__name__} {number}", daemon=True)
            for number, part in enumerate(PARTS)
        ]
        for thread in threads:
            thread.start()
        chance = random.Random(f"{self.seed} stage")
        while not self._end.passed and not self._failed.wait(0.1):
            self._kill_one(chance)
            self.world.check()
            self._outcomes_stay(chance)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), f"{thread.name} hangs: {self.world.activity()}"
        if self._errors:
            raise self._errors[0]

    def _run(self, part: type[Part], number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        database = FaultyDatabase(self.world, threading.current_thread().name, chance)
        self.databases.append(database)
        store = StoreOn(database, self.world.lease)
        store.start()
        try:
            played = part(self.scene, store, chance)
            while not self._end.passed and not self._failed.is_set():
                self._turn(played)
        except BaseException as error:  # the test's own thread raises it
            self._errors.append(error)
            self._failed.set()
        finally:
            store.stop()

    def _turn(self, played: Part) -> None:
        try:
            played.turn()
        except StoreUnavailable:
            self.scene.count("unavailable")

    def _kill_one(self, chance: random.Random) -> None:
        name = chance.choice([database._name for database in self.databases] or ["nobody"])
        self.world.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", name)

    def _outcomes_stay(self, chance: random.Random) -> None:
        sample = chance.sample(self.scene.tasks, min(300, len(self.scene.tasks)))
        query = (
            "SELECT id::text, outcome, result, error, attempts, finished_at FROM tasks WHERE outcome IS NOT NULL AND "
            "id = ANY (%s::uuid[])"
        )
        for task_id, *ending in self.world.rows(query, sample):
            assert self._outcomes.setdefault(task_id, tuple(ending)) == tuple(ending)


def test_the_laws_hold_in_any_order_of_events(fresh_world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", "psycopg")
    stage = Stage(fresh_world, os.environ.get("STRESS_SEED") or str(random.SystemRandom().randrange(10**9)))
    print(f"STRESS_SEED={stage.seed}")
    stage.play()
    print(stage.scene.counts)
    drain(fresh_world)
    fresh_world.check()
    assert sum(database.deadlocks for database in stage.databases) == 0
    check_outcomes(fresh_world, stage.scene)
    assert stage.scene.counts["finished"] > 100, "too little happened"


def drain(world: World) -> None:
    """Reclaim the leases of dead workers, then complete every task with one worker."""
    for (worker_id,) in world.rows("SELECT id::text FROM workers WHERE dead_at IS NULL"):
        world.store.leases.reclaim(worker_id, DIED)
    worker = world.worker()
    world.execute("UPDATE backlog SET due_at = now(), light = true")
    deadline = Deadline(30)
    while tasks := [row[0] for row in world.rows("SELECT task_id::text FROM backlog LIMIT 200")]:
        world.store.leases.finish(world.claim(worker, tasks), settled(tasks))
        assert not deadline.passed


def check_outcomes(world: World, scene: Scene) -> None:
    """Every accepted task has one outcome, told once, after no more attempts than it may have."""
    assert set(scene.tasks) <= {row[0] for row in world.rows("SELECT id::text FROM tasks")}
    told = (
        "SELECT task_id, array_agg(event) AS events FROM logs WHERE event IN ('completed', 'failed', 'cancelled') "
        "GROUP BY task_id"
    )
    wrong = f"SELECT t.id, t.outcome, told.events FROM tasks t LEFT JOIN ({told}) told ON told.task_id = t.id"
    assert world.rows(f"{wrong} WHERE (told.events = ARRAY[t.outcome]) IS NOT TRUE") == []
    assert world.rows("SELECT id, attempts FROM tasks WHERE attempts > %s", MAX_RETRIES + 1) == []
    listed = "SELECT task_id, outcome FROM failures ORDER BY 1"
    assert world.rows(listed) == world.rows(
        "SELECT id, outcome FROM tasks WHERE outcome IN ('failed', 'cancelled') ORDER BY 1"
    )
    assert world.rows("SELECT f.id FROM files f JOIN tasks t ON t.id = f.task_id WHERE t.outcome <> 'completed'") == []
