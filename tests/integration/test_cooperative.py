"""The API's connections: greenlets wait at the same time, and every wait ends."""

import subprocess
import sys
import time
from pathlib import Path

import gevent
import psycopg
import pytest

from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.store.driver.cooperative import CooperativeConnection


def connect(dsn: str, limit_seconds: float = 10.0) -> CooperativeConnection:
    connection = CooperativeConnection.connect(dsn, autocommit=True)
    connection.limit_seconds = limit_seconds
    return connection


def test_greenlets_wait_at_the_same_time(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        began = time.monotonic()
        both = [gevent.spawn(one.execute, "SELECT pg_sleep(0.5)") for one in (first, second)]
        gevent.joinall(both, timeout=5, raise_error=True)
        assert time.monotonic() - began < 0.95


def test_more_bytes_than_a_socket_buffers_go_both_ways(dsn: str) -> None:
    text = "x" * 20_000_000
    with connect(dsn) as connection:
        assert connection.execute("SELECT %s::text", [text]).fetchall() == [(text,)]


def test_a_frozen_server_is_given_up(own_postgres: PrivatePostgres) -> None:
    connection = connect(own_postgres.dsn, 0.3)
    connection.execute("SELECT 1")
    own_postgres.freeze()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="no reply within"):
        connection.execute("SELECT 1")
    assert time.monotonic() - began < 2
    assert connection.closed
    connection.close()


def test_a_timeout_of_the_caller_passes_through(dsn: str) -> None:
    connection = connect(dsn)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        connection.execute("SELECT pg_sleep(10)")
    connection.close()


def test_a_server_that_stops_is_an_error_at_once(own_postgres: PrivatePostgres) -> None:
    connection = connect(own_postgres.dsn)
    waiting = gevent.spawn(connection.execute, "SELECT pg_sleep(60)")
    gevent.sleep(0.1)
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        waiting.get(timeout=5)
    connection.close()


@pytest.mark.parametrize(
    "behaviour",
    [
        "more_greenlets_than_connections_take_turns",
        "a_connection_in_use_does_not_delay_a_greenlet_that_waits_for_the_pool",
        "a_killed_greenlet_leaves_no_connection_in_use",
        "a_greenlet_killed_while_it_waits_for_the_pool_loses_no_connection",
        "a_greenlet_killed_while_the_pool_connects_loses_no_connection",
        "a_key_with_a_long_line_delays_others_by_one_statement",
        "an_exhausted_pool_gives_up_in_time",
        "a_repeated_start_loses_no_connection",
    ],
)
def test_the_pool_works_in_a_process_that_gevent_has_patched(dsn: str, behaviour: str) -> None:
    command = [sys.executable, "-m", "tests.integration.patched_pool", dsn, behaviour]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
