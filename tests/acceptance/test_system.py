"""The shortest path through the whole system: a task is submitted over HTTP, claimed, run, finished and read."""

import os
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from dtqs.store.driver.schema import SCHEMA_VERSION
from tests.support.fix_system import Factory
from tests.support.helpers import eventually


def test_a_submitted_task_comes_back_completed_also_from_the_next_supervisor(system: Factory) -> None:
    running = system()
    task = running.wait_for(running.submit({"hello": "world"}))
    assert task["status"] == "completed"
    assert task["result"] == {"hello": "world"}
    assert task["attempt"] == 1
    assert running.stop_supervisor() == 0, "it drains"
    task_id = running.submit()
    running.start_supervisor()
    assert running.wait_for(task_id)["status"] == "completed"


def test_an_api_on_a_read_only_database_is_not_ready(system: Factory) -> None:
    one = system(supervisor=False)
    with psycopg.connect(one.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
                sql.Identifier(one.dsn.rpartition("/")[2])
            )
        )
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(others)
    answer = eventually(
        lambda: (found := one.client.get("/readyz")).json()["postgresql"]["state"] == "read-only" and found
    )
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 503
    assert "read-only" in one.run("doctor").stdout
    assert "PostgreSQL is read-only" in one.run("workers").stderr


@pytest.mark.parametrize("part", ["supervisor", "api"])
def test_code_that_is_too_old_for_the_schema_ends_with_the_reason(system: Factory, part: str) -> None:
    one = system(api=False, supervisor=False)
    with psycopg.connect(one.dsn, autocommit=True) as connection:
        connection.execute("UPDATE settings SET value = '99' WHERE name IN ('schema_version', 'schema_compatible')")
    assert one._spawn(part, {}).wait(30) == os.EX_CONFIG
    assert "update DTQS on this host" in one.log(part)


def test_an_api_refuses_tasks_while_the_schema_needs_newer_code(system: Factory) -> None:
    one = system(supervisor=False)
    echo, upload = (
        {"task_type": "echo", "payload": {}},
        {"content": b"a file", "headers": {"Content-Type": "text/plain"}},
    )
    task_id = one.submit()
    before = dict(
        one.rows("SELECT name, value::int FROM settings WHERE name IN ('schema_version', 'schema_compatible')")
    )

    def put(**versions: int) -> None:
        with psycopg.connect(one.dsn) as connection:
            connection.execute("ALTER TABLE settings DISABLE TRIGGER USER")  # the trigger forbids lower versions
            for name, version in versions.items():
                connection.execute("UPDATE settings SET value = to_jsonb(%s::int) WHERE name = %s", (version, name))
            connection.execute("ALTER TABLE settings ENABLE TRIGGER USER")

    def refused(path: str, **more: Any) -> str:
        answer = one.client.post(path, **more)
        return str(answer.json()["detail"]) if answer.status_code == 503 else ""

    put(schema_version=99, schema_compatible=99)
    detail = eventually(lambda: refused("/submit", json=echo), 10, "submits are refused")
    assert detail.startswith(
        "this API takes no tasks: the schema of the database has version 99, for DTQS from version 99"
    )
    assert detail.endswith(f"; this one knows {SCHEMA_VERSION}: update DTQS on this host")
    assert (
        refused("/files", **upload)
        == refused(f"/tasks/{task_id}/cancel")
        == refused(f"/tasks/{task_id}/retry")
        == detail
    )
    assert one.task(task_id)["status"] == "pending", "requests that only read are answered"
    ready = one.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "unready")
    assert detail.endswith(ready.json()["reason"])
    assert ready.json()["reason"] in one.run("doctor").stdout
    put(**before)
    eventually(lambda: one.client.post("/submit", json=echo).status_code == 202, 10, "submits are accepted")
    assert one.client.get("/readyz").json()["status"] == "ready"
    assert (one.log("api").count("update DTQS on this host"), one.log("api").count("the schema fits again")) == (1, 1)
