"""The primary of a PostgreSQL with a synchronous standby dies under load, and the standby is promoted."""

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.settlement import Kind
from dtqs.store import Store
from dtqs.store.driver.schema import migrate
from dtqs.store.tasks import IdempotencyKey
from dtqs.task import NewTask, OutputFile
from dtqs.uuid7 import uuid7
from tests.support.cluster import PostgresPair
from tests.support.fix_store import World, settled
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.load import Load, longest_gap

TASKS = 5000
MOST_SECONDS = 5.0
KEY = IdempotencyKey(uuid7(), "one", b"hash", 24)
ENDED = "SELECT id::text, outcome, finished_at FROM tasks WHERE outcome IS NOT NULL"


@pytest.fixture
def pair(servers_dir: Path) -> Iterator[PostgresPair]:
    made = PostgresPair(servers_dir / f"postgresql-{secrets.token_hex(4)}")
    try:
        made.start()
        migrate(PostgresqlSection(dsn=SecretStr(made.primary.dsn)))
        made.follow()
        yield made
    finally:
        made.stop()


def test_work_goes_on_at_the_promoted_standby_and_nothing_accepted_is_lost(trial: Try, pair: PostgresPair) -> None:
    """Commits wait for the standby when the primary dies, so clients do not know whether they happened."""
    system = trial(dsn=pair.dsn, api=True)
    bodies = [{"task_type": "echo", "payload": {}}] * TASKS
    with Load(system, bodies, 20, 0.1) as load:
        eventually(lambda: len(load.accepted) > TASKS // 4, 60, "a quarter was accepted")
        ended = system.rows(ENDED)
        receiver = pair.halt_receiver()
        eventually(pair.waiting_commits, 10, "a commit waits for the standby")
        pair.primary.kill()
        os.kill(receiver, signal.SIGCONT)
        accepted, killed = len(load.accepted), time.time()
        pair.promote()
        eventually(lambda: len(load.accepted) > accepted, 30, "a submit is accepted")
        submits = time.time() - killed
        load.join(120)
    outcomes, gap = system.done(120), longest_gap(system, killed, 30)
    print(f"submits go on after {submits:.1f} s, work after {gap:.1f} s; {load.refused} submits refused; {outcomes}")
    stored = {row[0] for row in system.rows("SELECT id::text FROM tasks")}
    assert [task_id for task_id in load.accepted if task_id not in stored] == []
    assert set(ended) <= set(system.rows(ENDED))
    assert set(outcomes) == {"completed"}
    audit = system.run("doctor", "--audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert max(submits, gap) < MOST_SECONDS


def test_doctor_warns_of_a_standby_that_no_commit_waits_for(trial: Try, pair: PostgresPair) -> None:
    system = trial(dsn=pair.dsn)

    def state() -> tuple[str, str]:
        checks = json.loads(system.run("doctor", "--json").stdout)["checks"]
        (found,) = [check for check in checks if check["part"] == "standby"]
        return found["state"], found["found"]

    assert state()[0] == "ok"
    with psycopg.connect(pair.primary.admin_dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")
        query = "SELECT 1 FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = ''"
        eventually(lambda: connection.execute(query).fetchone(), 10, "no commit waits any more")
    found, words = state()
    assert (found, "follows, but synchronous_standby_names is empty" in words) == ("warning", True), words


def receipts(pair: PostgresPair, store: Store) -> dict[str, Callable[[], set[str]]]:
    """Return calls whose result a client or worker takes as a receipt. Each returns what PostgreSQL must keep."""
    with closing(World(pair.primary.dsn)) as world:
        failed, pending, running = (world.submit()[0] for _ in range(3))
        world.run([failed], Kind.FAILED)
        lease = world.claim(worker := world.worker(), [running])
    task = NewTask(uuid7(), "echo", True, "{}")
    upload = OutputFile(uuid7(), "file.txt", "text/plain", 1, "0" * 64)
    copy_id = uuid7()

    def submit() -> set[str]:
        store.tasks.insert([task])
        return {f"task {task.task_id} None"}

    def finish() -> set[str]:
        told = store.leases.finish(lease, settled([running])) or store.leases.landed(worker, [running])
        return {f"task {task_id} {event}" for _, task_id, event in told}

    def cancel() -> set[str]:
        store.tasks.cancel([pending])
        return {f"task {pending} cancelled"}

    def upload_file() -> set[str]:
        store.files.insert(upload, None)
        return {f"file {upload.file_id}"}

    return {
        "a submit": submit,
        "a submit with a key": lambda: submit_once(store),
        "a retry": lambda: {f"task {store.tasks.retry(failed, copy_id).task_id} None"},
        "a finish": finish,
        "a cancel": cancel,
        "an upload": upload_file,
    }


def submit_once(store: Store) -> set[str]:
    ids, _ = store.tasks.insert_once([NewTask(uuid7(), "echo", True, "{}")], KEY)
    return {f"task {task_id} None" for task_id in ids}


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_what_is_found_again_after_a_cut_wait_is_confirmed_when_the_standby_has_it(
    pair: PostgresPair, function: str
) -> None:
    """The primary shows what the session has written although the standby lacks it. A cancel even reports success."""
    section = PostgresqlSection(dsn=SecretStr(pair.dsn), statement_timeout_seconds=60)
    store = Store(section, LeaseSection(), 10, "the test's store")
    store.start()
    calls = receipts(pair, store)
    pair.standby.stop()
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        made = {name: pool.submit(call) for name, call in calls.items()}
        eventually(lambda: len(pair.waiting_commits()) == len(made), 20, "each commit waits for the standby")
        pair.cut_short(function, cut := pair.waiting_commits())
        # the next request of the same client, and not a repetition by this process
        made["the same key again"] = pool.submit(submit_once, store)
        eventually(
            lambda: len(pair.waiting_commits() - cut) + len(ended(made)) == len(made), 20, "each has found its rows"
        )
        too_early = ended(made)
        pair.lose_primary()
        told = {row for future in made.values() for row in future.result(60)}
    store.stop()
    with psycopg.connect(pair.standby.dsn) as connection:
        query = (
            "SELECT 'task ' || id || ' ' || coalesce(outcome, 'None') FROM tasks UNION SELECT 'file ' || id FROM files"
        )
        kept = {row[0] for row in connection.execute(query)}
    assert (told - kept, too_early) == (set(), [])


def ended(made: dict[str, Future[set[str]]]) -> list[str]:
    return [name for name, future in made.items() if future.done()]
