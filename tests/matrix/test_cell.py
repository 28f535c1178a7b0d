"""A cell is what its name says, and the product's own checks find no fault in it. bin/test-matrix alone runs this."""

import json
import secrets
from typing import Any

import pika
import psycopg
import pytest
from psycopg import sql

from dtqs.broker.topology import QUEUE
from dtqs.config import PostgresqlSection
from dtqs.store.driver.schema import SCHEMA_VERSION, migrate
from tests.integration.old_schemas import become, fill
from tests.matrix.cells import CELLS, DIRECT
from tests.support.fix_servers import _drop, _named
from tests.support.fix_system import System
from tests.support.outside import OUTSIDE

(CELL,) = [cell for cell in CELLS if cell.name == OUTSIDE.cell]


def one_value(dsn: str, query: str) -> str:
    # PgBouncer's own database knows the simple protocol only, which psycopg's ClientCursor speaks
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        row: Any = connection.execute(query.encode()).fetchone()
    return str(row[0])


def is_version(found: str, wanted: str) -> bool:
    return found == wanted or found.startswith(f"{wanted}.")


def test_the_product_talks_to_the_servers_of_the_cell(shared: System) -> None:
    dsn = shared.config.postgresql.dsn.get_secret_value()
    assert is_version(one_value(dsn, "SHOW server_version"), CELL.postgresql)
    if CELL.path == DIRECT:
        assert not OUTSIDE.pgbouncer
    else:
        assert OUTSIDE.pgbouncer in dsn
        assert is_version(one_value(_named(dsn, "pgbouncer"), "SHOW VERSION").split()[1], CELL.path)
    with pika.BlockingConnection(pika.URLParameters(shared.amqp_url)) as connection:
        properties = connection._impl.server_properties
        assert is_version(properties["version"], CELL.rabbitmq)
        arguments: dict[str, Any] = (
            {"x-max-priority": 10} if CELL.queue_type == "classic" else {"x-queue-type": "quorum"}
        )
        if CELL.queue_type == "quorum" and float(CELL.rabbitmq) >= 4:
            arguments["x-delivery-limit"] = -1
        # a queue of another type would refuse this declaration
        connection.channel().queue_declare(QUEUE, durable=True, arguments=arguments)
    found = shared.run("doctor")
    assert found.returncode == 0, found.stdout + found.stderr
    assert ("a pooler shares the sessions" in found.stdout) == (CELL.path != DIRECT), found.stdout


@pytest.mark.skipif(CELL.has_prepared, reason="the path keeps prepared statements")
def test_doctor_warns_of_a_pooler_that_loses_prepared_statements(shared: System) -> None:
    shared.change({"postgresql": {"prepared_statements": "on"}})
    try:
        checks = json.loads(shared.run("doctor", "--json").stdout)["checks"]
    finally:
        shared.change({"postgresql": {"prepared_statements": "off"}})
    (found,) = [check for check in checks if check["part"] == "pooler"]
    assert (found["state"], "loses prepared statements" in found["found"]) == ("warning", True), checks


def test_an_upgrade_takes_the_path_of_the_cell_and_leaves_no_setting_in_its_sessions() -> None:
    name = f"test_{secrets.token_hex(6)}"
    section = PostgresqlSection.model_validate(OUTSIDE.settings(_named(OUTSIDE.postgresql_dsn, name))["postgresql"])
    with psycopg.connect(OUTSIDE.postgresql_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            assert migrate(section) == SCHEMA_VERSION
            with psycopg.connect(_named(OUTSIDE.postgresql_dsn, name), autocommit=True) as old:
                become(old, "version_1")
                tasks = fill(old)
            assert [migrate(section), migrate(section)] == [SCHEMA_VERSION, SCHEMA_VERSION]
            assert one_value(section.dsn.get_secret_value(), "SELECT count(*) FROM tasks") == str(len(tasks))
            assert one_value(section.dsn.get_secret_value(), "SHOW lock_timeout") == "0"
        finally:
            _drop(connection, name)
