"""The private servers: their promises to the tests and to the sandbox."""

import pika
import psycopg
import pytest

from dtqs.deadline import Deadline
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.support.helpers import eventually


def _declare(url: str) -> int:
    """Declare a durable queue and return its depth."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        return int(connection.channel().queue_declare("kept", durable=True).method.message_count)
    finally:
        connection.close()


def _publish(url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", "kept", b"hint", pika.BasicProperties(delivery_mode=2))
    connection.close()


def test_virtual_hosts_share_nothing(amqp_url: str, rabbitmq: PrivateRabbitmq) -> None:
    _declare(amqp_url)
    _publish(amqp_url)
    assert _declare(amqp_url) == 1
    assert _declare(rabbitmq.url) == 0


def test_confirmed_messages_of_rabbitmq_survive_a_kill(own_rabbitmq: PrivateRabbitmq) -> None:
    _declare(own_rabbitmq.url)
    _publish(own_rabbitmq.url)
    own_rabbitmq.kill()
    assert not own_rabbitmq.alive
    own_rabbitmq.start()
    own_rabbitmq.wait_ready(Deadline(60))
    assert _declare(own_rabbitmq.url) == 1


def test_committed_rows_of_postgresql_survive_a_kill(own_postgres: PrivatePostgres) -> None:
    with psycopg.connect(own_postgres.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.kill()
    own_postgres.start()
    own_postgres.wait_ready(Deadline(60))
    with psycopg.connect(own_postgres.dsn) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_wrong_password_is_refused(own_postgres: PrivatePostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(own_postgres.dsn.replace("@", "x@"))


def test_a_frozen_postgresql_continues_where_it_was(own_postgres: PrivatePostgres) -> None:
    with psycopg.connect(own_postgres.dsn) as connection:
        own_postgres.freeze()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(own_postgres.dsn, connect_timeout=2)
        own_postgres.thaw()
        eventually(lambda: connection.execute("SELECT 1").fetchone() == (1,))


def test_a_copied_database_keeps_the_settings_of_its_role(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SHOW enable_seqscan").fetchone() == ("off",)
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
