"""Plans on a fresh database with tiny estimates: an index serves each hot statement; updates of tasks are heap-only."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import Diagnostic

from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.settlement import Kind
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID, LONG_AGO
from dtqs.store.driver.connection import LimitedConnection
from dtqs.store.overview import LogQuery, Overview
from dtqs.store.reads import TaskFilter
from dtqs.store.tasks import IdempotencyKey
from dtqs.task import Effect, NewTask, Status
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, REPORT, StoreOn, StrictDatabase, World, confirmed, settled
from tests.support.helpers import eventually

TURNS = 8
"""More than the five after which a prepared statement may get its generic plan, and keep it."""
WHAT_A_FINISH_WRITES = {
    "attempts",
    "outcome",
    "result",
    "error",
    "worker_id",
    "started_at",
    "finished_at",
    "cancel_requested_at",
}
WHOLE_INDEX = re.compile(r"Scan (?:Backward )?using \w+ on (tasks|backlog|failures|files)\b[^\n]*\n(?!\s*Index Cond)")
_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_level": "notice",
    "auto_explain.log_nested_statements": "off",
    "client_min_messages": "notice",
}


class ExplainedDatabase(StrictDatabase):
    """Keep the plan of every statement."""

    def __init__(self, world: World) -> None:
        super().__init__(world.section, 1, "explained")
        self.plans: list[str] = []

    def _configure(self, connection: LimitedConnection) -> None:
        super()._configure(connection)
        connection.add_notice_handler(self._keep)

    def _keep(self, notice: Diagnostic) -> None:
        if "plan:" in (notice.message_primary or ""):
            self.plans.append(str(notice.message_primary))


@pytest.fixture
def explained(fresh_world: World, postgres: PrivatePostgres) -> Iterator[StoreOn]:
    """Return a store whose server reports every plan."""
    ((role, database),) = fresh_world.rows("SELECT current_user, current_database()")
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute("LOAD 'auto_explain'")
        for setting, value in _EXPLAIN.items():
            command = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
            connection.execute(
                command.format(sql.Identifier(role), sql.Identifier(database), sql.SQL(setting), sql.Literal(value))
            )
    store = StoreOn(ExplainedDatabase(fresh_world), fresh_world.lease)
    store.start()
    yield store
    store.stop()


def submit(store: Store, count: int = 3, light: bool = True) -> list[str]:
    tasks = [NewTask(uuid7(), "echo", light, "{}", tags=("x",)) for _ in range(count)]
    store.tasks.insert(tasks)
    return [task.task_id for task in tasks]


def claimed(store: Store, worker: str, task_ids: list[str]) -> str:
    lease = uuid7()
    assert store.leases.claim(worker, lease, task_ids)[0]
    return lease


def client(store: Store, worker: str) -> None:
    store.tasks.insert_once([NewTask(uuid7(), "echo", True, "{}")], IdempotencyKey(uuid7(), "k", b"x", 24.0))
    (task,) = submit(store, 1)
    store.tasks.cancel([task, *submit(store, 2)])
    store.tasks.retry(task, uuid7())
    store.tasks.retry(task, uuid7())


def batches(store: Store, worker: str) -> None:
    tasks = submit(store)
    store.leases.finish(claimed(store, worker, tasks), settled(tasks[:1]) + settled(tasks[1:2], Kind.RETRY))
    tasks, following = submit(store), uuid7()
    store.leases.finish_part(worker, claimed(store, worker, tasks), following, settled(tasks[:1]), tasks[1:])
    store.leases.give_back(following)
    tasks = sorted(submit(store))
    store.leases.finish(claimed(store, worker, tasks), settled(tasks))
    tasks = sorted(submit(store))
    assert store.leases.complete_few(claimed(store, worker, tasks), settled(tasks))[1]


def heavy(store: Store, worker: str) -> None:
    (task,) = submit(store, 1, light=False)
    lease = claimed(store, worker, [task])
    store.leases.report(lease, task, 1, "progress", "info", "half", None)
    store.leases.mark_effect(lease, task, Effect.RETRY)
    store.workers.beat(worker, REPORT)
    store.leases.held(worker)
    store.leases.finish(lease, settled([task], Kind.FAILED))


def publish(store: Store, worker: str) -> None:
    dues = store.backlog.due(submit(store))
    store.backlog.far_out(confirmed(dues))
    store.backlog.relay(LONG_AGO, 100)
    store.backlog.put_off([due.task_id for due in dues], "echo", 1.0)
    store.backlog.repair(FIRST_ID, 100, 0)
    store.backlog.repair(FIRST_ID, 100, 10.0)
    store.backlog.due_and_free([due.task_id for due in dues])
    cut, _ = store.queues.take_refill("task_queue", worker, 1.0, 2.0)
    store.queues.keep_refill("task_queue", worker, cut or "", ended=True)
    store.queues.left_refills(["task_queue"])


def watch(store: Store, worker: str) -> None:
    tasks = submit(store)
    store.reads.tasks(tasks)
    store.reads.existing(tasks)
    store.reads.watch(dict.fromkeys(tasks, 0))
    store.reads.watched(tasks)
    store.reads.logs(tasks[0])


def pages(store: Store, worker: str) -> None:
    for status in (None, *Status):
        store.reads.page(TaskFilter(status, "echo", "x"), 10)
    store.audit.batch(None, 100)
    store.audit.parts()
    store.housekeeping.prune_tasks(FIRST_ID, 30, 100)


def readings(store: Store, worker: str) -> None:
    submit(store)
    overview = Overview(store.database)
    overview.totals()
    overview.workers()
    overview.processes(60.0)
    overview.backlog(600.0, 5, 5)
    overview.failures(5)
    overview.recent(5)
    overview.logs(LogQuery(10, "info", "x"))
    overview.task_logs(submit(store, 1)[0], LogQuery(10))


@pytest.mark.parametrize("part", [client, batches, heavy, publish, watch, pages, readings])
def test_an_index_serves_every_statement_on_a_fresh_database(
    fresh_world: World, explained: StoreOn, part: Callable[[Store, str], None]
) -> None:
    worker = fresh_world.worker()
    for _ in range(TURNS):
        part(explained, worker)
    plans = explained.database.plans  # type: ignore[attr-defined]
    assert len(plans) > TURNS
    scanned = {
        (statement_of(plan), table)
        for plan in plans
        for table in re.findall(r"Seq Scan on (\w+)", plan)
        if not may_be_scanned(table, part)
    }
    assert scanned == set()


def statement_of(plan: str) -> str:
    """Return the comment with which the statement begins."""
    return plan.partition("Query Text: -- ")[2].partition("\n")[0]


def may_be_scanned(table: str, part: object) -> bool:
    """Tell whether a scan is acceptable: leases and processes are few, and the search reads all of them anyway."""
    return table in ("leases", "workers", "counters") and part in (watch, pages, readings)


def test_a_reclaim_is_served_by_indices_too(fresh_world: World, explained: StoreOn) -> None:
    for _ in range(TURNS):
        worker = fresh_world.worker()
        claimed(explained, worker, submit(explained))
        explained.leases.reclaim(worker, DIED)
    plans = explained.database.plans  # type: ignore[attr-defined]
    assert {statement_of(plan) for plan in plans if "Seq Scan" in plan} == set()


@pytest.mark.parametrize("part", [client, batches, heavy, publish, watch, pages])
def test_statistics_of_a_quiet_time_make_no_statement_scan_in_a_burst(
    fresh_world: World, explained: StoreOn, part: Callable[[Store, str], None]
) -> None:
    worker = fresh_world.worker()
    for _ in range(5):
        tasks = submit(explained, 1000)
        explained.leases.finish(claimed(explained, worker, tasks), settled(tasks))
    fresh_world.execute("ANALYZE")  # as autovacuum does after 10,000 changes of tasks: the backlog is empty
    plans = explained.database.plans  # type: ignore[attr-defined]
    plans.clear()
    for _ in range(TURNS):
        part(explained, worker)
    assert {(statement_of(plan), scan[1]) for plan in plans for scan in WHOLE_INDEX.finditer(plan)} == set()


def test_reads_of_living_workers_and_prunes_walk_no_dead_ones(fresh_world: World, explained: StoreOn) -> None:
    """Dead rows stay for a day; a pool whose workers end after each task leaves a hundred thousand."""
    worker = fresh_world.worker()
    fresh_world.execute(
        """INSERT INTO workers (id, node_id, boot_id, node_name, pool, slot, pid, state, dead_at)
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'node', 'default', 0, 1, 'gone', now()
        FROM generate_series(1, 20000)""",
        "INSERT INTO settings VALUES ('queues', '[\"other\"]') ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        "ANALYZE workers",
    )
    for _ in range(TURNS):
        assert set(explained.workers.heartbeats()) == {worker}
        explained.workers.former(uuid7(), uuid7())
        assert explained.queues.unconsumed(60.0) == ["other"]
        explained.database.run_once("reading_pools", {"late": 15.0})
        Overview(explained.database).workers()
        explained.housekeeping.prune_small(24.0, 1000)
    plans = explained.database.plans  # type: ignore[attr-defined]
    walked = {
        (statement_of(plan), index)
        for plan in plans
        for index in re.findall(r"(?:using (\w+) on workers|Seq Scan on workers)", plan)
    }
    assert {index for _, index in walked} == {"workers_living", "workers_dead_at", "workers_pkey"}, walked
    by_id = {statement for statement, index in walked if index == "workers_pkey"}
    assert [statement[:26] for statement in by_id] == ["A keeper: delete expired i"]
    forgotten = [plan for plan in plans if "folded_counters" in plan]
    assert forgotten
    assert all("folded_counters_folded_at" in plan for plan in forgotten)


def test_every_plan_locks_tasks_in_the_order_of_their_ids(fresh_world: World, explained: StoreOn) -> None:
    # a nested loop over the ordered CTE follows its order; a hash join over a scan would not
    for _ in range(TURNS):
        worker = fresh_world.worker()
        batches(explained, worker)
        claimed(explained, worker, submit(explained))
        explained.leases.reclaim(worker, DIED)
    plans = explained.database.plans  # type: ignore[attr-defined]
    updates = [
        (statement_of(plan), plan.partition("Update on tasks")[2].partition("CTE ")[0])
        for plan in plans
        if "Update on tasks" in plan
    ]
    assert len(updates) >= 3 * TURNS
    assert {statement for statement, how in updates if "Nested Loop" not in how or "Hash" in how} == set()


# --- conditions of heap-only updates


def indexed(world: World, table: str) -> set[str]:
    """Return the columns of the table's indexes, also those in predicates."""
    query = """SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
        WHERE i.indrelid = %s::regclass AND (
            a.attnum = ANY (i.indkey)
            OR EXISTS (SELECT 1 FROM pg_depend d
                WHERE d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))"""
    return {row[0] for row in world.rows(query, table)}


def test_no_index_on_tasks_contains_a_column_that_a_finish_writes(world: World) -> None:
    columns = indexed(world, "tasks")
    assert {"id", "retry_of", "tags"} <= columns
    assert not columns & WHAT_A_FINISH_WRITES


def test_no_index_on_workers_contains_a_column_that_a_heartbeat_writes(world: World) -> None:
    assert indexed(world, "workers") == {"id", "dead_at"}


def test_most_updates_of_tasks_stay_heap_only(fresh_world: World) -> None:
    store = fresh_world.new_store("finisher")
    worker, count = fresh_world.worker(), 0
    for _ in range(20):
        tasks = submit(store, 100)
        store.leases.finish(claimed(store, worker, tasks), settled(tasks))
        count += len(tasks)
    store.stop()
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tasks'"
    updated = partial(fresh_world.rows, query)
    eventually(lambda: updated()[0][0] >= count, what="the statistics have arrived")
    ((updates, hot),) = updated()
    assert hot / updates > 0.7


def test_the_roles_settings_that_keep_plans_good_are_in_force(world: World) -> None:
    assert world.rows(
        "SELECT current_setting('enable_seqscan'), current_setting('jit'), current_setting('TimeZone')"
    ) == [("off", "off", "UTC")]
    assert world.rows(
        "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    ) == [("10s", "30s")]
