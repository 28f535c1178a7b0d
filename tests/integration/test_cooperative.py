"""The API's connections: greenlets wait beside one another, and no wait is without an end."""

import time

import gevent
import psycopg
import pytest

from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.store.cooperative import CooperativeConnection


def connect(dsn: str, limit_seconds: float = 10.0) -> CooperativeConnection:
    connection = CooperativeConnection.connect(dsn, autocommit=True)
    connection.limit_seconds = limit_seconds
    return connection


def test_greenlets_wait_beside_one_another(dsn: str) -> None:
    with connect(dsn) as first, connect(dsn) as second:
        began = time.monotonic()
        both = [gevent.spawn(one.execute, "SELECT pg_sleep(0.5)") for one in (first, second)]
        gevent.joinall(both, timeout=5, raise_error=True)
        assert time.monotonic() - began < 0.95


def test_more_than_a_socket_holds_goes_both_ways(dsn: str) -> None:
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


def test_a_timeout_of_the_caller_is_his_own(dsn: str) -> None:
    connection = connect(dsn)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        connection.execute("SELECT pg_sleep(10)")
    connection.close()


def test_a_server_that_goes_away_is_an_error_at_once(own_postgres: PrivatePostgres) -> None:
    connection = connect(own_postgres.dsn)
    waiting = gevent.spawn(connection.execute, "SELECT pg_sleep(60)")
    gevent.sleep(0.1)
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        waiting.get(timeout=5)
    connection.close()
