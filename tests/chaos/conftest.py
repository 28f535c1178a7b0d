"""Fixtures for tests that kill, cut and stop: servers that only the tests of one module share."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.postgres import DATABASE, PrivatePostgres
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from dtqs.store.driver.schema import migrate
from tests.matrix.control import CellServer
from tests.support.outside import OUTSIDE
from tests.support.trial import delete_queue

_READY_SECONDS = 60.0


@pytest.fixture(scope="module")
def mortal_postgres(servers_dir: Path) -> Iterator[PrivatePostgres | CellServer]:
    """A PostgreSQL that a module's tests may kill and freeze. Each test must leave it running."""
    if OUTSIDE.control:
        yield from _of_the_cell(CellServer(OUTSIDE.control, "postgresql", dsn=OUTSIDE.postgresql_dsn))
        return
    server = PrivatePostgres(servers_dir / f"postgresql-{secrets.token_hex(4)}", free_ports(1)[0])
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.thaw()
        server.stop()


def _of_the_cell(server: CellServer) -> Iterator[CellServer]:
    yield server
    server.thaw()
    server.start()


@pytest.fixture
def mortal_dsn(mortal_postgres: PrivatePostgres | CellServer, request: pytest.FixtureRequest) -> str:
    """A fresh database on it, with the schema."""
    if OUTSIDE.control:
        return str(request.getfixturevalue("new_dsn")())
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(mortal_postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = f"{mortal_postgres.dsn.removesuffix(DATABASE)}{name}"
    migrate(PostgresqlSection(dsn=SecretStr(made)))
    return made


@pytest.fixture(scope="module")
def mortal_rabbitmq(servers_dir: Path) -> Iterator[PrivateRabbitmq | CellServer]:
    """A RabbitMQ that a module's tests may kill, freeze and alarm. Each test must leave it running."""
    if OUTSIDE.control:
        yield from _of_the_cell(CellServer(OUTSIDE.control, "rabbitmq", url=OUTSIDE.rabbitmq_url))
        return
    port, distribution_port, epmd_port = free_ports(3)
    server = PrivateRabbitmq(servers_dir / f"rabbitmq-{secrets.token_hex(4)}", port, distribution_port, epmd_port)
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.thaw()
        server.stop()


@pytest.fixture
def mortal_amqp_url(mortal_rabbitmq: PrivateRabbitmq | CellServer) -> str:
    """The URL of its virtual host, after the removal of a queue that an earlier test left."""
    delete_queue(mortal_rabbitmq.url)
    return mortal_rabbitmq.url
