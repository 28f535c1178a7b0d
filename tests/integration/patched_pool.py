"""Greenlets on the API's pool, in a process that gevent has patched as gunicorn's worker does.

Usage: `patched_pool.py DSN BEHAVIOUR`.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
from pydantic import SecretStr  # noqa: E402

from dtqs.config import PostgresqlSection  # noqa: E402
from dtqs.errors import StoreUnavailable  # noqa: E402
from dtqs.store.driver.cooperative import CooperativeDatabase  # noqa: E402
from dtqs.store.driver.lending import PROCESS, borrowing_for  # noqa: E402
from tests.support.helpers import eventually  # noqa: E402


def nap(database: CooperativeDatabase, seconds: float, borrower: str = PROCESS) -> None:
    with borrowing_for(borrower), database._connection() as connection:
        connection.execute("SELECT pg_sleep(%s)", [seconds])


def more_greenlets_than_connections_take_turns(small: CooperativeDatabase) -> None:
    naps = [gevent.spawn(nap, small, 0.02) for _ in range(12)]
    gevent.joinall(naps, timeout=10, raise_error=True)
    assert all(one.successful() for one in naps)


def a_connection_in_use_does_not_delay_a_greenlet_that_waits_for_the_pool(small: CooperativeDatabase) -> None:
    nap(small, 0)
    holders = [gevent.spawn(nap, small, 0.2) for _ in range(2)]
    gevent.sleep(0.05)
    late = gevent.spawn(nap, small, 0)
    late.get(timeout=1.5)
    gevent.joinall(holders, timeout=5, raise_error=True)


def a_killed_greenlet_leaves_no_connection_in_use(small: CooperativeDatabase) -> None:
    for _ in range(4):
        killed = gevent.spawn(nap, small, 60)
        gevent.sleep(0.1)
        killed.kill(timeout=5)
    nap(small, 0)
    assert small.run("setting", {"name": "schema_version"})


def a_greenlet_killed_while_it_waits_for_the_pool_loses_no_connection(small: CooperativeDatabase) -> None:
    holders = [gevent.spawn(nap, small, 60) for _ in range(2)]
    eventually(lambda: small.pool_use().open == 2 and small.pool_use().waiting == 0)
    late = [gevent.spawn(nap, small, 0) for _ in range(4)]
    eventually(lambda: small.pool_use().waiting == 4)
    gevent.killall(late[:2], timeout=5)
    gevent.killall(late[2:], gevent.Timeout, timeout=5)
    gevent.killall(holders, timeout=5)
    together = [gevent.spawn(nap, small, 0.3) for _ in range(2)]
    gevent.joinall(together, timeout=10, raise_error=True)
    assert all(one.successful() for one in together)


def a_greenlet_killed_while_the_pool_connects_loses_no_connection(small: CooperativeDatabase) -> None:
    small.stop()
    for _ in range(4):
        small.start()
        early = [gevent.spawn(nap, small, 0) for _ in range(2)]
        gevent.sleep(0)
        assert small._waiting == 2
        gevent.killall(early, timeout=5)
        together = [gevent.spawn(nap, small, 0.1) for _ in range(2)]
        gevent.joinall(together, timeout=10, raise_error=True)
        small.stop()
    small.start()


def a_key_with_a_long_line_delays_others_by_one_statement(small: CooperativeDatabase) -> None:
    greedy = [gevent.spawn(nap, small, 0.2, "greedy") for _ in range(50)]
    eventually(lambda: small.pool_use().waiting == 49)
    for borrower in ("modest", PROCESS, "modest"):
        began = time.monotonic()
        gevent.spawn(nap, small, 0, borrower).get(timeout=5)
        assert time.monotonic() - began < 1, f"{borrower} waited behind the line of another key"
    assert small.pool_use().waiting > 30
    gevent.killall(greedy, timeout=5)


def an_exhausted_pool_gives_up_in_time(small: CooperativeDatabase) -> None:
    holders = [gevent.spawn(nap, small, 60) for _ in range(2)]
    gevent.sleep(0.1)
    began = time.monotonic()
    try:
        nap(small, 0)
    except StoreUnavailable:
        assert 1.5 < time.monotonic() - began < 5
    else:
        raise AssertionError("a third connection of two")
    gevent.killall(holders, timeout=5)


def a_repeated_start_loses_no_connection(small: CooperativeDatabase) -> None:
    for _ in range(4):
        nap(small, 0)
        small.start()


def main() -> None:
    """Run the named behaviour on a pool of two connections."""
    database = CooperativeDatabase(PostgresqlSection(dsn=SecretStr(sys.argv[1]), connect_timeout_seconds=2), 2, "test")
    database.start()
    globals()[sys.argv[2]](database)
    database.stop()


if __name__ == "__main__":
    main()
