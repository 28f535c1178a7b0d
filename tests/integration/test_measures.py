"""The readings of /metrics: due tasks beside any number of scheduled ones, and the workers of each queue."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dtqs.errors import StoreUnavailable
from dtqs.metrics.families import families
from dtqs.store import measures
from dtqs.store.driver.connection import Row
from dtqs.store.driver.statements import statement
from dtqs.store.measures import Measured, Measures
from dtqs.store.workers import ProcessTotals, WorkerIdentity, WorkerReport
from dtqs.uuid7 import uuid7
from tests.support.fix_store import NODE, World

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


def read(world: World) -> Measured:
    return Measures(world.store.database, 16, 60, world.store.lease_section.far_out_seconds).read()


def due(measured: Measured) -> dict[str, float]:
    found: dict[str, float] = {}
    for task_type, _, is_due, count, _ in measured.backlog:
        if is_due:
            found[task_type] = found.get(task_type, 0.0) + count
    return found


def test_due_tasks_are_counted_whatever_pages_the_sample_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of 60 pages out of 12,500, always the same ones, saw none of 300 due tasks, and no alert came."""
    monkeypatch.setattr(measures, "SAMPLE_PAGES", 1e-9)
    world.submit(500, due_at=TOMORROW)
    world.submit(3)
    world.execute(
        "UPDATE backlog SET due_at = now() - interval '90 s', publish_at = now() + interval '9 min' "
        "WHERE due_at < now()"
    )
    measured = read(world)
    assert due(measured) == {"echo": 3}
    assert max(age for _, _, is_due, _, age in measured.backlog if is_due) == pytest.approx(90, abs=10)


@pytest.mark.parametrize("spread", ["0 s", "1 s"])
def test_due_tasks_beyond_the_limit_are_estimated_and_none_counts_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, spread: str
) -> None:
    monkeypatch.setattr(measures, "DUE_LIMIT", 5)
    world.submit(20, due_at=TOMORROW)
    world.submit(30)
    world.execute(
        f"UPDATE backlog SET publish_at = now() + priority * random() * interval '{spread}' WHERE due_at <= now()"
    )
    measured = read(world)
    assert due(measured) == {"echo": 30}
    assert sum(count for _, _, is_due, count, _ in measured.backlog if not is_due) == 20


def test_workers_of_a_queue_are_those_that_run_or_take_tasks(world: World) -> None:
    def worker(slot: int, queues: tuple[str, ...] | None, state: str) -> str:
        worker_id = uuid7()
        world.store.workers.register(
            WorkerIdentity(worker_id, NODE, uuid7(), "node", "default", slot, 1, ("echo",), queues)
        )
        world.store.workers.beat(worker_id, WorkerReport(state, None, None, None, 0, 0, 0))
        return worker_id

    worker(0, ("movies", "task_queue"), "busy")
    worker(1, ("movies",), "draining")
    world.grow_old(worker(2, ("movies",), "ready"), 20.0)
    worker(3, None, "ready")
    assert dict(read(world).takers) == {"movies": 1, "task_queue": 1, None: 1}


class Slow:
    """The database of a world, which takes too long for one statement."""

    def __init__(self, world: World, name: str) -> None:
        self._run, self.name, self.is_slow, self.asked = world.store.database.run_once, name, True, 0

    def run_once(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        self.asked += name == self.name
        if name == self.name and self.is_slow:
            raise StoreUnavailable("PostgreSQL: no reply within 4 s")
        return self._run(name, parameters)


def test_values_by_type_that_take_too_long_stay_as_they_were_and_the_rest_is_read(world: World) -> None:
    totals = ProcessTotals(submitted=3)
    totals.tally.add("attempts|echo|completed", 7)
    world.store.workers.count(uuid7(), "worker", "node", totals)
    database: Any = Slow(world, "reading_measures")
    reader = Measures(database, 16, 60, 600)
    never = reader.read()
    assert (reader.answered, never.labelled, never.labelled_at) == (True, (), float("-inf"))
    assert never.totals["submitted"] == 3
    database.is_slow = False
    first = reader.read()
    assert ("attempts|echo|completed", None, 7.0) in first.labelled
    database.is_slow = True
    later = reader.read()
    assert (later.labelled, later.labelled_at) == (first.labelled, first.labelled_at)


def test_a_slow_statement_for_values_by_type_has_pauses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_SLOW_SECONDS", 0.0)
    monkeypatch.setattr(measures, "_PAUSES", 1e9)
    database: Any = Slow(world, "reading_measures")
    reader = Measures(database, 16, 60, 600)
    for _ in range(3):
        reader.read()
    assert database.asked == 1


def test_a_database_that_answers_is_not_away_although_a_statement_takes_too_long(world: World) -> None:
    database: Any = Slow(world, "reading_sample")
    reader = Measures(database, 16, 60, 600)
    with pytest.raises(StoreUnavailable):
        reader.read()
    assert reader.answered
    found = {one.name: one.value for family in families(None, None, [], 0.0, answered=True) for one in family.samples}
    assert (found["dtqs_database_up"], found["dtqs_reading_age_seconds"]) == (1, float("inf"))
    database.name = "reading_server"
    with pytest.raises(StoreUnavailable):
        reader.read()
    assert not reader.answered


def test_the_values_of_thousands_of_processes_are_not_sorted(fresh_world: World) -> None:
    """The sort wrote 44 MB of temporary files for each scrape."""
    fresh_world.execute(
        "INSERT INTO counters (process_id, role, node_name, metrics)"
        " SELECT gen_random_uuid(), 'worker', 'node' || i % 100, '{\"run|echo|1\": 1}' FROM generate_series(1, 5000) i",
        "ANALYZE counters",
    )
    query = statement("reading_measures").decode().replace("%(age)s", "60")
    plan = "\n".join(line for (line,) in fresh_world.rows(f"EXPLAIN {query.replace('%', '%%')}"))
    assert "HashAggregate" in plan, plan
    assert "Sort" not in plan, plan
