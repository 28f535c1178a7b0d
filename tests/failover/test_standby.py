"""The primary of a PostgreSQL with a synchronous standby dies under load, and the standby is promoted."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.store.driver.schema import migrate
from tests.support.cluster import PostgresPair
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.load import Load, longest_gap

TASKS = 5000
MOST_SECONDS = 5.0
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
