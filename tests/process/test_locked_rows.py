"""A row that another session keeps locked, as in an open transaction of a person: only its own task waits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

# No keeper publishes a task again within a test's time, so a lost hint shows.
ONCE = {"lease": {"grace_seconds": 60, "lease_seconds": 30}}
ONE = {**ONCE, "pool:default": {"workers": 1}}


def limit_statements(system: Trial, limit: str = "2s") -> None:
    """Let the server cancel the statements of all new connections after this time."""
    ((role, database),) = system.rows("SELECT current_user, current_database()")
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET statement_timeout = {}").format(
                sql.Identifier(role), sql.Identifier(database), sql.Literal(limit)
            )
        )


@contextmanager
def locked(system: Trial, table: str, column: str, task_ids: Sequence[str]) -> Iterator[None]:
    with psycopg.connect(system.dsn, options="-c idle_in_transaction_session_timeout=0") as connection:
        query = sql.SQL("SELECT 1 FROM {} WHERE {} = ANY (%s::uuid[]) FOR UPDATE").format(
            sql.Identifier(table), sql.Identifier(column)
        )
        assert len(connection.execute(query, [list(task_ids)]).fetchall()) == len(task_ids)
        yield
        connection.rollback()


def test_a_locked_row_of_the_backlog_holds_up_no_other_task(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    limit_statements(system)
    hints = [system.put({}, 10) for _ in range(3)]
    heavy = system.put_one()
    stuck, *free = [task_id for hint in hints for task_id in hint]
    system.start_supervisor()
    with locked(system, "backlog", "task_id", [stuck]):
        for task_ids in hints:
            system.hint(task_ids, light=True)
        system.hint([heavy])
        assert set(system.outcomes([*free, heavy], 20)) == {"completed"}
        assert system.attempts(stuck) == 0
    assert system.outcome(stuck, 20) == "completed"
    assert system.spent() == {1: 31}
    system.check()


def test_a_locked_row_of_an_unknown_type_holds_up_no_other_task(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    limit_statements(system)
    stuck, *free = system.put(task_type="future", count=5)
    others = system.put({}, 5)
    system.start_supervisor()
    with locked(system, "backlog", "task_id", [stuck]):
        system.hint([stuck, *free], light=True, task_type="future")
        system.hint(others, light=True)
        assert set(system.outcomes(others, 20)) == {"completed"}
        put_off = "SELECT 1 FROM backlog WHERE task_id = ANY (%s::uuid[]) AND publish_at < now() + interval '15 s'"
        assert len(system.rows(put_off, free)) == 4
    eventually(lambda: system.rows(put_off, [stuck]), 20, "the task is put off when its row is free")
    system.check()


def test_a_locked_task_holds_up_no_other_outcome_of_its_batch(trial: Try) -> None:
    system = trial(ONE, supervisor=False)
    limit_statements(system)
    stuck, *free = system.put({"seconds": 0}, 50, task_type="nap")
    system.start_supervisor()
    with locked(system, "tasks", "id", [stuck]):
        system.hint([stuck, *free], light=True, task_type="nap")
        assert set(system.outcomes(free, 20)) == {"completed"}
        holder = system.holder(stuck).worker_id
        busy = "SELECT 1 FROM workers WHERE id = %s AND state = 'busy' AND heartbeat_at > now() - interval '5 s'"
        eventually(lambda: system.rows(busy, holder), 10, "its worker tells that it is busy")
    assert system.outcome(stuck, 20) == "completed"
    assert system.spent() == {1: 50}
    system.check()
