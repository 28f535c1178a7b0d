"""Fixtures of the tests that bin/test-failover runs."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.sandbox.ports import free_ports
from dtqs.store.driver.schema import migrate
from tests.support.distant_node import BridgePostgres, BridgeRabbitmq
from tests.support.namespaces import Bridge, hindrance
from tests.support.trial import install_processors

_READY_SECONDS = 60.0


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH that registers the task type `journal`."""
    return install_processors(tmp_path / "packages", "tests.support.journal", ["journal"])


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    if reason := hindrance():
        pytest.skip(reason)
    with Bridge() as made:
        yield made


@pytest.fixture
def bridge_postgres(servers_dir: Path, bridge: Bridge) -> Iterator[BridgePostgres]:
    """A PostgreSQL with the schema, for one test."""
    folder = servers_dir / f"postgresql-{secrets.token_hex(4)}"
    server = BridgePostgres(folder, free_ports(1)[0], settings={"listen_addresses": "*"})
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        migrate(PostgresqlSection(dsn=SecretStr(server.dsn)))
        yield server
    finally:
        server.stop()


@pytest.fixture
def bridge_rabbitmq(servers_dir: Path, bridge: Bridge) -> Iterator[BridgeRabbitmq]:
    """A RabbitMQ for one test."""
    port, distribution_port, epmd_port = free_ports(3)
    folder = servers_dir / f"rabbitmq-{secrets.token_hex(4)}"
    server = BridgeRabbitmq(folder, port, distribution_port, epmd_port)
    try:
        server.start()
        server.wait_ready(Deadline(_READY_SECONDS))
        yield server
    finally:
        server.stop()
