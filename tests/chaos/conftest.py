"""Fixtures of the floor that kills, cuts and stops: servers of its own, shared by a module's tests, and systems on them with short times."""

import secrets
from collections.abc import Callable, Iterator
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
from dtqs.store.schema import migrate
from tests.chaos.trial import Trial, delete_queue, install_processors
from tests.fix_system import Sections

_READY_SECONDS = 60.0


@pytest.fixture(scope="module")
def mortal_postgres(servers_dir: Path) -> Iterator[PrivatePostgres]:
    """A PostgreSQL that a module's tests may kill and freeze, if each leaves it running."""
    server = PrivatePostgres(servers_dir / f"postgresql-{secrets.token_hex(4)}", free_ports(1)[0])
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.thaw()
        server.stop()


@pytest.fixture
def mortal_dsn(mortal_postgres: PrivatePostgres) -> str:
    """A fresh database there, with the schema."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(mortal_postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = f"{mortal_postgres.dsn.removesuffix(DATABASE)}{name}"
    migrate(PostgresqlSection(dsn=SecretStr(made)))
    return made


@pytest.fixture(scope="module")
def mortal_rabbitmq(servers_dir: Path) -> Iterator[PrivateRabbitmq]:
    """A RabbitMQ that a module's tests may kill, freeze and alarm, if each leaves it running."""
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
def mortal_amqp_url(mortal_rabbitmq: PrivateRabbitmq) -> str:
    """Its virtual host, in which no earlier test has left a queue."""
    delete_queue(mortal_rabbitmq.url)
    return mortal_rabbitmq.url


Try = Callable[..., Trial]


@pytest.fixture
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Try]:
    """Make a running system with short times: `trial({"pool:default": {"workers": 1}}, api=True)`; without `api` tests submit through the store."""
    made: list[Trial] = []
    packages = install_processors(tmp_path / "packages")

    def make(config: Sections | None = None, *, dsn: str = "", amqp_url: str = "", api: bool = False, supervisor: bool = True) -> Trial:
        dsn = dsn or request.getfixturevalue("dsn")
        amqp_url = amqp_url or request.getfixturevalue("amqp_url")
        one = Trial(tmp_path / f"system-{len(made)}", dsn, amqp_url, config or {}, packages)
        made.append(one)
        if supervisor:
            one.start_supervisor()
        if api:
            one.start_api()
        return one

    yield make
    for one in made:
        one.stop()
