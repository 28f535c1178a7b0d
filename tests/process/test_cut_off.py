"""A node that is cut off from PostgreSQL ends its attempts before others run them, and takes nothing meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dtqs.broker.checkup import look_once
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.relay import Relay
from tests.support.trial import Trial

LEASE_SECONDS = 3
CONFIG = {
    "lease": {"heartbeat_seconds": 0.5, "lease_seconds": LEASE_SECONDS},
    "postgresql": {"connect_timeout_seconds": 1, "statement_timeout_seconds": 1},
}
WAYS = ("obeys", "swallows", "holds")


@pytest.fixture
def relay(dsn: str) -> Iterator[Relay]:
    """A network between one node and PostgreSQL."""
    made = Relay(int(conninfo_to_dict(dsn)["port"] or 5432))
    yield made
    made.close()


# In each test `trial` comes last: its systems end before their database does.


def through(relay: Relay, dsn: str) -> str:
    return make_conninfo(dsn, host="127.0.0.1", port=relay.port)


def consumers(system: Trial) -> int:
    look = look_once(system.config.rabbitmq, "test")
    return look.consumers if look else 0


def test_no_attempt_outlasts_its_lease_and_none_counts_as_a_death(
    relay: Relay, dsn: str, trial: Try, tmp_path: Path
) -> None:
    """An attempt obeys the interrupt, one swallows it, and one holds Python's lock. Each has a process of its own."""
    away = trial({**CONFIG, "pool:default": {"workers": 3}}, dsn=through(relay, dsn))
    files = [tmp_path / how for how in WAYS]
    tasks = [
        away.put_one({"file": str(file), "how": how}, task_type="ticks") for how, file in zip(WAYS, files, strict=True)
    ]
    holders = [away.holder(task_id).worker_id for task_id in tasks]
    eventually(lambda: all(file.exists() for file in files), 10, "each attempt has begun")
    here = trial({**CONFIG, "pool:default": {"workers": 1}}, dsn=dsn)
    relay.passes.clear()
    assert here.outcomes(tasks) == ["completed"] * 3
    dead_at = dict(here.rows("SELECT id::text, extract(epoch FROM dead_at)::float8 FROM workers"))
    outlasted = [file.stat().st_mtime - dead_at[holder] for file, holder in zip(files, holders, strict=True)]
    assert max(outlasted) <= 1.0
    assert min(outlasted) > -LEASE_SECONDS, "the attempts ran until their lease was near its end"
    assert here.rows("SELECT DISTINCT attempts, deaths FROM tasks") == [(1, 0)]
    relay.passes.set()
    assert here.outcomes(here.put(count=20)) == ["completed"] * 20
    here.check()


def test_a_worker_that_cannot_claim_stops_consuming_until_a_heartbeat_succeeds(
    relay: Relay, dsn: str, trial: Try
) -> None:
    away = trial({**CONFIG, "pool:default": {"workers": 1}}, dsn=through(relay, dsn))
    here = trial({**CONFIG, "pool:default": {"workers": 1}}, dsn=dsn)
    eventually(lambda: consumers(here) == 2, 10, "both workers consume")
    relay.passes.clear()
    eventually(lambda: here.put() and "claim failed" in away.log("supervisor"), 15, "a claim has failed")
    assert set(here.outcomes(here.put(count=20), 5)) == {"completed"}
    assert consumers(here) == 1
    relay.passes.set()
    eventually(lambda: consumers(here) == 2, 10, "both workers consume again")
    here.done()
