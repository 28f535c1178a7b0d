"""A frozen, killed or locked database and deadlocks: every wait ends with an error of DTQS; work continues later."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.errors import CommitUnknown, StoreUnavailable
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.settlement import Kind
from dtqs.store import Store
from dtqs.store.driver.cooperative import CooperativeDatabase
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.kept import KeptDatabase
from dtqs.store.overview import Overview
from dtqs.store.workers import WorkerIdentity
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World, settled
from tests.support.helpers import eventually

READ_ONLY = "default_transaction_read_only"


@pytest.fixture
def outage(own_postgres: PrivatePostgres) -> Iterator[World]:
    """Yield the store with short limits on a server of its own."""
    world = World(own_postgres.dsn)
    world.section = PostgresqlSection(
        dsn=SecretStr(own_postgres.dsn), connect_timeout_seconds=1, statement_timeout_seconds=1
    )
    world.store.stop()
    world.store = world.new_store("the test's store")
    yield world
    own_postgres.thaw()
    world.close()


def set_for_role(world: World, setting: str, value: str) -> None:
    """Apply the setting to new connections."""
    ((role, database),) = world.rows("SELECT current_user, current_database()")
    command = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
    dsn, options = world.section.dsn.get_secret_value(), f"-c {READ_ONLY}=off"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        connection.execute(
            command.format(sql.Identifier(role), sql.Identifier(database), sql.Identifier(setting), sql.Literal(value))
        )


def test_a_frozen_database_is_given_up_in_time_and_work_continues_when_it_thaws(
    outage: World, own_postgres: PrivatePostgres
) -> None:
    (task,), worker = outage.submit(), outage.worker()
    lease = outage.claim(worker, [task])
    own_postgres.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        outage.store.leases.claim(worker, uuid7(), [task])
    with pytest.raises(StoreUnavailable):
        outage.store.leases.finish(lease, settled([task]), Deadline(1.0))
    assert time.monotonic() - began < 12
    own_postgres.thaw()
    eventually(lambda: outage.store.leases.finish(lease, settled([task])) or outage.status(task) == "completed", 20)
    assert outage.events(task) == ["completed"]
    outage.check()


def test_a_killed_database_is_found_again_after_its_restart(own_postgres: PrivatePostgres) -> None:
    section = PostgresqlSection(dsn=SecretStr(own_postgres.dsn), connect_timeout_seconds=1, statement_timeout_seconds=1)
    store = Store(section, LeaseSection(), 1, "the test's store")
    store.start()
    assert store.reads.existing([uuid7()]) == set()
    own_postgres.kill()
    with pytest.raises(StoreUnavailable):
        store.reads.existing([uuid7()])
    own_postgres.start()
    own_postgres.wait_ready(Deadline(60))
    eventually(lambda: _works(store), 20)
    store.stop()


def _works(store: Store) -> bool:
    try:
        return store.reads.existing([uuid7()]) == set()
    except StoreUnavailable:
        return False


def test_a_cut_connection_is_replaced_if_the_statement_may_be_repeated(world: World) -> None:
    (task,) = world.submit()
    lease = world.claim(world.worker(), [task])
    cut(world)
    assert len(world.store.leases.finish(lease, settled([task]))) == 1
    world.check()


@pytest.mark.session
def test_a_claim_is_not_repeated_when_its_connection_was_cut(world: World) -> None:
    (task,), worker = world.submit(), world.worker()
    cut(world)
    with pytest.raises(StoreUnavailable):
        world.store.leases.claim(worker, uuid7(), [task])
    assert world.status(task) == "pending"
    assert len(world.store.leases.claim(worker, uuid7(), [task])[0]) == 1


def test_a_commit_without_a_reply_is_told_from_a_failed_statement(world: World) -> None:
    def cut_last(run: Run) -> None:
        run("relay_mark")
        cut(world)

    def cut_first(run: Run) -> None:
        cut(world)
        run("relay_mark")

    with pytest.raises(CommitUnknown):
        world.store.database.transaction_once(cut_last)
    with pytest.raises(StoreUnavailable) as failed:
        world.store.database.transaction_once(cut_first)
    assert not isinstance(failed.value, CommitUnknown)


def cut(world: World) -> None:
    assert world.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", "the test's store"
    ) == [(True,)]


def test_a_statement_that_waits_too_long_is_given_up(fresh_world: World) -> None:
    set_for_role(fresh_world, "statement_timeout", "300ms")
    (task,), worker = fresh_world.submit(), fresh_world.worker()
    with fresh_world.held_open() as held:
        held.leases.claim(worker, uuid7(), [task])
        other = fresh_world.meet(lambda store: store.leases.claim(worker, uuid7(), [task])).waits()
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            other.result()
    fresh_world.check()


DATABASES = pytest.mark.parametrize("kind", [Database, KeptDatabase, CooperativeDatabase])


@DATABASES
@pytest.mark.session
def test_a_write_finds_the_primary_though_its_connections_lead_to_a_read_only_server(
    fresh_world: World, kind: type[Database]
) -> None:
    """As after a failover whose name in the DSN led to the old primary for a moment."""
    set_for_role(fresh_world, READ_ONLY, "on")
    with reached(fresh_world, kind) as store:
        assert store.database.state(Deadline(0))[1]
        set_for_role(fresh_world, READ_ONLY, "off")
        eventually(lambda: _registered(store), 10, "a connection that may write")


@DATABASES
@pytest.mark.session
def test_a_look_at_the_server_finds_the_primary_without_a_write(fresh_world: World, kind: type[Database]) -> None:
    set_for_role(fresh_world, READ_ONLY, "on")
    with reached(fresh_world, kind) as store:
        overview = Overview(store.database)
        assert (store.database.state(Deadline(0))[1], overview.totals()[3]) == (True, True)
        set_for_role(fresh_world, READ_ONLY, "off")
        eventually(lambda: not store.database.state(Deadline(0))[1], 10, "a probe sees the primary")
        eventually(lambda: not overview.totals()[3], 10, "the alarms see the primary")


@contextmanager
def reached(world: World, kind: type[Database]) -> Iterator[Store]:
    store = Store(world.section, world.lease, 2, "failed over", kind)
    store.start()
    try:
        yield store
    finally:
        store.stop()


def _registered(store: Store) -> bool:
    try:
        store.workers.register(WorkerIdentity(uuid7(), uuid7(), uuid7(), "node", "default", 0, 1))
    except StoreUnavailable:
        return False
    return True


def test_a_transaction_that_idles_too_long_is_unavailable_and_changes_nothing(fresh_world: World) -> None:
    # as of a process that was frozen between its two statements
    set_for_role(fresh_world, "idle_in_transaction_session_timeout", "100ms")
    (task,) = fresh_world.submit()
    store = fresh_world.new_store("frozen")

    def work(run: Run) -> None:
        run("cancel_lock", {"ids": f"{{{task}}}"})
        eventually(
            lambda: (
                not fresh_world.rows(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'frozen' AND state = 'idle in transaction'"
                )
            )
        )
        run("cancel", {"ids": f"{{{task}}}"})

    with pytest.raises(StoreUnavailable):
        store.database.transaction_once(work)
    store.stop()
    assert fresh_world.status(task) == "pending"


def test_a_store_that_is_not_started_is_unavailable(world: World) -> None:
    store = Store(world.section, world.lease, 1, "stopped")
    with pytest.raises(StoreUnavailable):
        store.reads.existing([])
    store.start()
    store.start()
    assert store.reads.existing([]) == set()
    store.stop()
    store.stop()
    with pytest.raises(StoreUnavailable):
        store.workers.heartbeats()


def test_a_deadlock_is_retried_without_an_error(world: World) -> None:
    # made by hand against the order of locks: the losing statement is repeated
    a, b = world.submit(2)
    plain = Store(world.section, world.lease, 1, "plain")
    plain.start()
    lease = world.claim(world.worker(), [a, b])
    with world.held_open() as held:
        held.run("cancel_lock", ids=f"{{{b}}}")
        finish = world.meet(lambda _: plain.leases.finish(lease, settled([a, b], Kind.FAILED)))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'plain' AND wait_event_type = 'Lock'"
        eventually(lambda: world.rows(waiting))
        try:
            held.run("cancel_lock", ids=f"{{{a}}}")
            held.commit()
        except psycopg.errors.DeadlockDetected:
            held.close()
        assert len(finish.result()) == 2
    plain.stop()
    assert world.statuses([a, b]) == ["failed", "failed"]
