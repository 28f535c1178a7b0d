"""A real keeper: its publishes, and its reclaims of dead workers' leases."""

import time
from collections.abc import Callable

import psycopg

from dtqs.broker.checkup import look_once
from dtqs.store.workers import WorkerIdentity
from dtqs.uuid7 import uuid7
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

ONE = {"pool:default": {"workers": 1}}


def test_a_delay_and_that_of_a_retry_hold_however_many_hints_arrive(trial: Try) -> None:
    system = trial({"retry": {"base_seconds": 30, "max_seconds": 30}})
    retried = system.put_one({"fail_times": 1})
    eventually(lambda: system.attempts(retried) == 1, 10)
    # full jitter may have chosen almost no delay: set it
    system.rows("UPDATE backlog SET due_at = now() + interval '4 s', publish_at = now() + interval '4 s' RETURNING 1")
    delayed = system.put_one(delay_seconds=4.0)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        system.hint([delayed, retried], times=50)
    assert system.rows("SELECT outcome FROM tasks") == [(None,), (None,)]
    assert system.attempts(retried) == 1
    assert {system.outcome(delayed), system.outcome(retried)} == {"completed"}
    assert system.rows("SELECT started_at < due_at FROM tasks WHERE id = %s", delayed) == [(False,)]
    failed, started = (system.logs(retried)[i].at for i in (1, 2))
    assert started > failed
    assert system.rows("SELECT extract(epoch FROM (%s::timestamptz - %s::timestamptz)) > 3.9", started, failed) == [
        (True,)
    ]
    system.check()


def test_duplicate_hints_run_no_task_twice(trial: Try) -> None:
    system = trial()
    ids = system.put({"a": 1}, 100) + system.put({"sleep_seconds": 0.005}, 20, light=False)
    for _ in range(5):
        system.hint(ids[:100], light=True)
        for task_id in ids[100:]:
            system.hint([task_id])
    assert system.done() == {"completed": 120}
    assert system.spent() == {1: 120}


def test_a_keeper_publishes_tasks_that_no_api_published(trial: Try) -> None:
    system = trial({**ONE, "lease": {"grace_seconds": 0.5}})
    ids = system.put({"a": 1}, 1200)
    assert set(system.outcomes(ids, 5)) == {"completed"}


def test_a_lost_hint_is_published_again_when_the_queue_is_empty(trial: Try) -> None:
    """Simulate a confirmed hint that the broker lost.

    The next publish is ten minutes away, so only a look at the empty queue finds it.
    """
    system = trial({**ONE, "lease": {"grace_seconds": 0.5}})
    task_id = system.put_one(delay_seconds=0.0)
    system.rows(
        "UPDATE backlog SET publish_at = now() + interval '600 s', published_at = now() WHERE task_id = %s RETURNING 1",
        task_id,
    )
    assert system.outcome(task_id, 10) == "completed"
    system.check()


def test_two_keepers_share_the_publishes(trial: Try) -> None:
    system = trial(supervisor=False)
    ids = system.put({"a": 1}, 1000)
    system.start_supervisor()
    system.start_another_supervisor()
    assert set(system.outcomes(ids)) == {"completed"}
    published = system.rows("SELECT sum(published) FROM counters WHERE role = 'keeper'")
    eventually(
        lambda: system.rows("SELECT sum(published) FROM counters WHERE role = 'keeper'") >= [(1000,)],
        5,
        f"all publishes are counted, last {published}",
    )
    system.check()


def test_a_worker_is_marked_dead_after_the_keeper_saw_a_lease_of_silence(
    trial: Try,
) -> None:
    system = trial({**ONE, "lease": {"lease_seconds": 3, "heartbeat_seconds": 0.5}}, supervisor=False)
    # a step of the clock, seen from either side
    long_silent, just_silent = elsewhere(system, 3600), elsewhere(system, -3600)
    tasks = system.put(count=2)
    for worker_id, task_id in zip((long_silent, just_silent), tasks, strict=True):
        system.store.leases.claim(worker_id, uuid7(), [task_id])
    began = time.monotonic()
    system.start_supervisor()
    assert set(system.outcomes(tasks)) == {"completed"}
    assert time.monotonic() - began > 3
    assert system.rows("SELECT attempts, losses FROM tasks") == [(1, 1)] * 2
    query = (
        "SELECT extract(epoch FROM dead_at - heartbeat_at)::float8 FROM workers WHERE id = ANY (%s::uuid[]) ORDER BY 1"
    )
    young, old = (row[0] for row in system.rows(query, [long_silent, just_silent]))
    assert young >= 3 - 3600
    assert old >= 3 + 3600
    system.check()


def test_a_dead_worker_is_reclaimed_from_and_tasks_are_relayed_while_upkeep_waits_for_a_lock(trial: Try) -> None:
    """Upkeep waits 5 s for the lock, up to the statement timeout, and again a second later."""
    system = trial({**ONE, "lease": {"lease_seconds": 2.5}}, supervisor=False)
    (held,) = system.put()
    worker_id = elsewhere(system, 0)
    system.store.leases.claim(worker_id, uuid7(), [held])
    with psycopg.connect(system.dsn) as beside:
        beside.execute("SET idle_in_transaction_session_timeout = 0")
        beside.execute("LOCK TABLE idempotency_keys IN ACCESS EXCLUSIVE MODE")
        system.start_supervisor()
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'idempotency_keys'::regclass"
        eventually(lambda: system.rows(waits), 20, "upkeep waits for the lock")
        assert system.outcome(held, 20) == "completed"
        assert system.outcome(system.put_one(), 5) == "completed"
    system.check()


def test_a_step_of_the_databases_clock_marks_no_worker_dead_and_delays_no_due_task(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 1}}, supervisor=False)
    step = install_clock(system)
    system.start_supervisor()
    before = system.workers()
    long = system.put_one({"sleep_seconds": 4})
    system.running(long)
    step(3600)
    tasks = system.put(count=20)
    assert system.outcome(long) == "completed"
    assert [worker.worker_id for worker in system.workers()] == [worker.worker_id for worker in before]
    assert system.attempts(long) == 1
    assert set(system.outcomes(tasks)) == {"completed"}
    tasks, later = system.put(count=20), system.put_one(delay_seconds=7200.0)
    step(0)
    assert set(system.outcomes(tasks)) == {"completed"}
    assert system.rows(
        "SELECT count(*) FROM backlog WHERE task_id = %s AND due_at > pg_catalog.now() + interval '1 hour'", later
    ) == [(1,)]
    assert system.spent() == {1: 41, 0: 1}
    assert system.log("supervisor").count("the database's clock was stepped") == 2
    system.check()


def install_clock(system: Trial) -> Callable[[float], None]:
    """Put a clock before PostgreSQL's own for every new connection; return a function that sets it ahead by seconds."""
    ((role, database),) = system.rows("SELECT current_user, current_database()")
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        for command in (
            "CREATE SCHEMA clock",
            "CREATE TABLE clock.step AS SELECT interval '0 s' AS ahead",
            "CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql"
            " AS 'SELECT pg_catalog.now() + ahead FROM clock.step'",
            f'ALTER ROLE "{role}" IN DATABASE "{database}" SET search_path = clock, pg_catalog, public',
        ):
            connection.execute(command.encode())
    system.store.stop()
    system.store.start()

    def step(seconds: float) -> None:
        system.rows("UPDATE clock.step SET ahead = %s * interval '1 s' RETURNING 1", seconds)

    return step


def test_a_c_call_that_holds_the_interpreter_lock_beyond_the_lease_completes_at_its_first_attempt(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 2}})
    task = system.put_one({"seconds": 7}, task_type="holds")
    assert system.outcome(task, 30) == "completed"
    assert system.events(task) == ["in_progress", "completed"]
    assert "vouching for a silent worker" in system.log("supervisor")
    system.check()


def test_a_keeper_alone_relays_and_reclaims(trial: Try) -> None:
    """With all workers scaled to zero, somebody must publish due tasks and take back those of dead workers."""
    system = trial({"lease": {"lease_seconds": 2}}, supervisor=False)
    held, due = system.put(count=2, light=False)
    system.store.leases.claim(elsewhere(system, 3600), uuid7(), [held])
    keeper = system.start_another_supervisor("keeper")

    published = "SELECT count(*) FROM backlog WHERE published_at IS NOT NULL"
    eventually(lambda: system.rows(published) == [(2,)], 20, "both tasks are published, the held one after its reclaim")
    look = look_once(system.config.rabbitmq, "test")
    assert look
    assert look.ready >= 2
    assert look.consumers == 0
    assert system.workers() == []
    assert [system.events(task) for task in (held, due)] == [["in_progress", "pending"], []]
    keeper.terminate()
    assert keeper.wait(10) == 0
    assert len(system.rows("SELECT 1 FROM workers")) == 1  # the dead one: the keeper never had any
    system.start_supervisor()
    assert set(system.outcomes([held, due])) == {"completed"}
    system.check()


def elsewhere(system: Trial, silent_seconds: float) -> str:
    """Register a worker of another node, whose last heartbeat is `silent_seconds` ago; return its id."""
    worker_id, node_id = uuid7(), uuid7()
    system.store.workers.register(WorkerIdentity(worker_id, node_id, node_id, "elsewhere", "default", 0, 1))
    system.rows(
        "UPDATE workers SET heartbeat_at = now() - %s * interval '1 s' WHERE id = %s RETURNING 1",
        silent_seconds,
        worker_id,
    )
    return worker_id
