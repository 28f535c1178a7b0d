"""The operator's commands against real servers: the schema, keys, the doctor and its audit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from dtqs.cli import main
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.store.driver.schema import SCHEMA_VERSION
from dtqs.uuid7 import uuid7
from tests.integration.old_schemas import become


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a command: its exit status and its output."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def dtqs(tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder of its own, whose var/dtqs.ini names the test's database.

    Commands run in this process, since a new interpreter takes a second to start.
    """
    for name in [name for name in os.environ if name.startswith("DTQS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    text = (
        f"[postgresql]\ndsn = {dsn}\n[files]\ndirectory = {tmp_path}/files\n"
        f"[supervisor]\nstate_dir = {tmp_path}/state\n"
    )
    (tmp_path / "var/dtqs.ini").write_text(text, encoding="utf-8")

    def run(*arguments: str, **environ: str) -> Done:
        result = CliRunner().invoke(main, arguments, env=environ, prog_name="dtqs")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


def checks(run: Run, **environ: str) -> dict[str, Any]:
    found = json.loads(run("doctor", "--json", **environ).stdout)
    return {check["part"]: check for check in found["checks"]}


def execute(dsn: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement, parameters)


def insert_worker(dsn: str, slot: int, beat_age_seconds: int) -> str:
    columns = "id, node_id, boot_id, node_name, pool, slot, pid, state, heartbeat_at"
    values = "%s, %s, %s, 'n', 'default', %s, 1, 'ready', now() - %s * interval '1s'"
    worker_id = uuid7()
    execute(
        dsn, f"INSERT INTO workers ({columns}) VALUES ({values})", worker_id, uuid7(), uuid7(), slot, beat_age_seconds
    )
    return worker_id


def test_migrate_may_be_repeated(dtqs: Run) -> None:
    for _ in range(2):
        result = dtqs("migrate")
        assert (result.returncode, result.stdout) == (0, f"the schema is at version {SCHEMA_VERSION}\n"), result.stderr


def test_migrate_prints_its_plan_and_then_the_applied_files(dtqs: Run, dsn: str) -> None:
    assert dtqs("migrate", "--plan").stdout == f"nothing to do: the schema is at version {SCHEMA_VERSION}\n"
    with psycopg.connect(dsn, autocommit=True) as connection:
        become(connection, "version_5")
    assert json.loads(dtqs("migrate", "--plan", "--json").stdout)["files"][0] == {
        "file": "006_task_types_of_workers.sql",
        "purpose": "Workers name the task types that they do.",
        "safe_beside_running": True,
    }
    begin, columns, first, *_ = dtqs("migrate", "--plan").stdout.splitlines()
    assert begin == f"the schema is at version 5; `dtqs migrate` brings it to version {SCHEMA_VERSION}:"
    assert columns.split() == ["file", "beside", "running", "processes", "purpose"]
    assert first.split()[:2] == ["006_task_types_of_workers.sql", "safe"]
    late = dtqs("migrate", "--wait", "0")
    assert late.returncode == os.EX_UNAVAILABLE
    assert "waited 0 s for a schema that fits: the schema of the database has version 5" in late.stderr
    done = dtqs("migrate")
    assert done.stdout == f"the schema is at version {SCHEMA_VERSION}\n"
    assert done.stderr.startswith("006_task_types_of_workers.sql is applied: the schema has version 6\n")


def test_a_wait_for_the_schema_ends_when_another_migrate_has_run(dtqs: Run, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        become(connection, None)
    command = [sys.executable, "-m", "dtqs", "migrate", "--wait", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waits:
        assert waits.stderr
        assert waits.stdout
        assert "no version of its schema" in waits.stderr.readline()
        assert dtqs("migrate").returncode == 0
        assert waits.stdout.read() == "the schema fits this DTQS\n"
    assert waits.returncode == 0


def test_the_migrate_of_the_way_back_accepts_a_newer_schema_that_fits(dtqs: Run, dsn: str) -> None:
    newer = "UPDATE settings SET value = to_jsonb(%s) WHERE name = %s"
    execute(dsn, newer, SCHEMA_VERSION + 1, "schema_version")
    assert "update DTQS on this host" in dtqs("migrate").stderr
    accepted = dtqs("migrate", "--accept-newer")
    assert accepted.returncode == 0
    assert accepted.stdout == "a newer DTQS made the schema, and it fits this one: nothing was changed\n"
    report = {check["part"]: check for check in json.loads(dtqs("doctor", "--json").stdout)["checks"]}
    assert report["schema"]["state"] == "ok"
    assert report["workers"]["state"] != "skipped", "the checks that need the schema run"
    execute(dsn, newer, SCHEMA_VERSION + 1, "schema_compatible")
    refused = dtqs("migrate", "--accept-newer")
    assert refused.returncode != 0
    assert "update DTQS on this host" in refused.stderr


def test_a_plan_names_migrations_that_need_a_full_stop(dtqs: Run, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        become(connection, "version_2")
    assert "003_json.sql" in (planned := dtqs("migrate", "--plan").stdout)
    assert planned.count("stop all supervisors and APIs first") == SCHEMA_VERSION - 2
    with psycopg.connect(dsn, autocommit=True) as connection:
        become(connection, None)
    planned = dtqs("migrate", "--plan").stdout
    assert planned.startswith(f"the database has no schema; `dtqs migrate` brings it to version {SCHEMA_VERSION}:\n")
    assert "schema.sql" in planned


def test_a_key_is_printed_once_and_listed_without_its_text(dtqs: Run) -> None:
    made = dtqs("key", "create", "ci", "--scope", "submit,read")
    secret = made.stdout.strip()
    assert made.returncode == 0, made.stderr
    assert secret.startswith("dtqs_")
    assert secret not in made.stderr
    (listed,) = json.loads(dtqs("key", "list", "--json").stdout)
    assert (listed["name"], listed["scopes"], listed["revoked_at"]) == ("ci", ["submit", "read"], None)
    assert secret not in dtqs("key", "list").stdout


def test_a_new_key_can_be_printed_as_json(dtqs: Run) -> None:
    made = json.loads(dtqs("key", "create", "sandbox", "--scope", "submit,read,admin", "--json").stdout)
    assert made["key"].startswith("dtqs_")
    assert (made["name"], made["scopes"]) == ("sandbox", ["submit", "read", "admin"])


def test_a_keys_ceilings_are_shown_and_changed(dtqs: Run) -> None:
    options = [
        "--max-priority",
        "5",
        "--max-pending",
        "1000",
        "--max-upload-bytes",
        "3000000000",
        "--task-types",
        "image, video",
        "--max-timeout",
        "60",
    ]
    made = dtqs("key", "create", "partner", *options)
    assert "max_upload_bytes=3000000000" in made.stderr
    (listed,) = json.loads(dtqs("key", "list", "--json").stdout)
    expected = {
        "max_priority": 5,
        "max_pending": 1000,
        "max_upload_bytes": 3_000_000_000,
        "max_timeout_seconds": 60.0,
        "task_types": ["image", "video"],
    }
    assert listed["ceilings"] == expected
    assert "max_pending=1000" in dtqs("key", "list").stdout
    changed = json.loads(
        dtqs("key", "change", "partner", "--max-pending", "2000", "--task-types", "none", "--json").stdout
    )
    assert changed["ceilings"] == expected | {"max_pending": 2000, "task_types": None}
    assert dtqs("key", "change", "partner").returncode == 2
    assert dtqs("key", "change", "nobody", "--max-pending", "1").returncode == 2
    wrong = dtqs("key", "create", "x", "--max-pending", "0")
    assert (wrong.returncode, "allowed: a whole number from 1 to 10000000, or none" in wrong.stderr) == (2, True)


def test_a_name_is_taken_until_its_key_is_revoked(dtqs: Run) -> None:
    assert dtqs("key", "create", "ci").returncode == 0
    again = dtqs("key", "create", "ci")
    assert (again.returncode, "already" in again.stderr) == (2, True)
    revoked = dtqs("key", "revoke", "ci")
    assert (revoked.returncode, "for 5 s more" in revoked.stdout) == (0, True)
    assert dtqs("key", "create", "ci").returncode == 0
    (former, current) = sorted(
        json.loads(dtqs("key", "list", "--json").stdout), key=lambda key: key["revoked_at"] is None
    )
    assert (former["revoked_at"] is not None, current["revoked_at"]) == (True, None)


def test_unknown_keys_and_unknown_scopes_are_refused(dtqs: Run) -> None:
    assert dtqs("key", "revoke", "nobody").returncode == 2
    assert dtqs("key", "create", "x" * 101).returncode == 2
    wrong = dtqs("key", "create", "x", "--scope", "submit,everything")
    assert (wrong.returncode, "allowed: one or more of submit, read, metrics, admin" in wrong.stderr) == (2, True)


def test_every_command_reports_a_wrong_setting_with_its_line(dtqs: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.ini").write_text("[api]\nprot = 1\n[processor:imag]\n", encoding="utf-8")
    for command in (
        ["key", "list"],
        ["migrate"],
        ["config", "check"],
        ["config", "show"],
        ["doctor", "--audit"],
        ["supervisor"],
        ["api"],
    ):
        result = dtqs(*command, "--config", "bad.ini")
        assert result.returncode == os.EX_CONFIG, command
        assert "bad.ini line 2: [api] prot: no such key; did you mean port?" in result.stderr
        assert "Traceback" not in result.stderr


def test_config_check_includes_the_sections_of_processors(dtqs: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.ini").write_text("[processor:imag]\nx = 1\n[processor:image]\nmax_pixels = 0\n", encoding="utf-8")
    result = dtqs("config", "check", "--config", "bad.ini")
    assert result.returncode == os.EX_CONFIG
    assert "image" in result.stderr
    assert "[processor:image] max_pixels = '0'" in result.stderr
    good = dtqs("config", "check")
    assert (good.returncode, good.stdout) == (0, "var/dtqs.ini: the configuration is valid\n")


def test_a_database_that_is_away_is_reported_at_once_with_the_reason(dtqs: Run) -> None:
    result = dtqs("key", "list", DTQS_POSTGRESQL_DSN="postgresql://dtqs@127.0.0.1:1/dtqs")
    assert result.returncode == os.EX_UNAVAILABLE
    assert "Connection refused" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_doctor_finds_no_fault_in_a_sound_database_and_broker(dtqs: Run, amqp_url: str) -> None:
    found = checks(dtqs, DTQS_RABBITMQ_URL=amqp_url)
    assert {
        found[part]["state"]
        for part in ("configuration", "PostgreSQL", "schema", "settings", "clock", "RabbitMQ", "ffmpeg", "ffprobe")
    } == {"ok"}
    assert (found["queue"]["state"], found["workers"]["state"]) == ("failed", "warning")
    assert "supervisor" in found["queue"]["advice"]


def test_the_doctor_reports_queue_and_workers(dtqs: Run, dsn: str, amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("task_queue", durable=True, arguments={"x-max-priority": 10})
        channel.basic_publish("", "task_queue", b"{}")
        insert_worker(dsn, slot=0, beat_age_seconds=0)
        found = checks(dtqs, DTQS_RABBITMQ_URL=amqp_url)
    assert (found["queue"]["state"], found["queue"]["found"]) == ("ok", "1 ready, 0 consumers")
    assert (found["workers"]["state"], found["workers"]["found"]) == ("ok", "1 alive on 1 node, 0 with a task")
    insert_worker(dsn, slot=1, beat_age_seconds=31)
    assert checks(dtqs)["workers"]["state"] == "warning"


def test_the_doctor_gives_advice_for_each_failure(dtqs: Run, tmp_path: Path) -> None:
    environ = {
        "DTQS_POSTGRESQL_DSN": "dbname=x host=127.0.0.1 port=1",
        "DTQS_RABBITMQ_URL": "amqp://guest:sesame@127.0.0.1:1/",
        "DTQS_API_PORT": "1",  # beside an API of this machine, ffmpeg is not needed
        "PATH": "/nowhere",
    }
    result = dtqs("doctor", **environ)
    assert result.returncode == 1
    assert "sesame" not in result.stdout
    found = checks(dtqs, **environ)
    failed, skipped = (
        {part for part, check in found.items() if check["state"] == state} for state in ("failed", "skipped")
    )
    assert failed == {"PostgreSQL", "RabbitMQ", "ffmpeg", "ffprobe"}
    of_sessions = {"sessions", "pooler", "standby"}
    assert (
        skipped
        == {"schema", "settings", "clock", "workers", "workers' types", "slots", "routes", "queue"} | of_sessions
    )
    assert all(check["advice"] for check in found.values() if check["state"] != "ok")


def test_the_doctor_says_how_to_start_a_stopped_sandbox(dtqs: Run, tmp_path: Path) -> None:
    (tmp_path / "var/ports.json").write_text("{}", encoding="utf-8")
    away = {
        "DTQS_POSTGRESQL_DSN": "dbname=x host=127.0.0.1 port=1",
        "DTQS_RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:1/",
        "DTQS_API_PORT": "1",
    }
    found = checks(dtqs, **away)
    assert {found[part]["advice"] for part in ("PostgreSQL", "RabbitMQ", "API", "workers")} == {"start it: dtqs up"}
    assert (found["sandbox"]["state"], found["ffmpeg"]["state"]) == ("failed", "ok")


def test_the_doctor_reports_a_wrong_configuration_and_goes_on(dtqs: Run, tmp_path: Path) -> None:
    (tmp_path / "var/dtqs.ini").write_text("[api]\nport = 0\n", encoding="utf-8")
    result = dtqs("doctor")
    assert result.returncode == 1
    assert "allowed: a whole number from 1 to 65535" in result.stdout
    assert "ffmpeg" in result.stdout


def test_the_doctor_finds_a_database_without_schema(dtqs: Run, dsn: str) -> None:
    execute(dsn, "DROP TABLE settings CASCADE")
    found = checks(dtqs)
    assert (found["schema"]["state"], found["schema"]["advice"]) == ("failed", "run: dtqs migrate")
    assert found["workers"]["state"] == "skipped"


def test_the_doctor_finds_settings_that_cause_slow_plans(dtqs: Run, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = sql.Identifier(dsn.rpartition("/")[2])
        connection.execute(sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} RESET enable_seqscan").format(database))
    found = checks(dtqs)
    assert (found["setting enable_seqscan"]["state"], found["setting enable_seqscan"]["found"]) == (
        "failed",
        "on instead of off",
    )


def test_the_doctor_does_not_wait_for_a_frozen_database(dtqs: Run, own_postgres: PrivatePostgres) -> None:
    own_postgres.freeze()
    found = checks(dtqs, DTQS_POSTGRESQL_DSN=own_postgres.dsn)
    assert found["PostgreSQL"]["state"] == "failed"


def test_the_audit_finds_every_kind_of_violation(dtqs: Run, dsn: str) -> None:
    pending, lost, doubled, ended = (uuid7() for _ in range(4))
    for task_id, outcome in ((pending, None), (lost, None), (doubled, None), (ended, "completed")):
        execute(
            dsn,
            "INSERT INTO tasks (id, task_type, light, payload, outcome) VALUES (%s, 'echo', true, '{}', %s)",
            task_id,
            outcome,
        )
    put = (
        "INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)"
        " VALUES (%s, 'echo', true, 5, now(), now())"
    )
    execute(dsn, put, pending)
    execute(dsn, put, doubled)
    worker = insert_worker(dsn, slot=0, beat_age_seconds=0)
    execute(
        dsn,
        "INSERT INTO leases (id, worker_id, task_ids) VALUES (%s, %s, %s::uuid[])",
        uuid7(),
        worker,
        [doubled, ended],
    )
    stray = uuid7()
    execute(dsn, put, stray)
    result = dtqs("doctor", "--audit", "--json")
    audit = json.loads(result.stdout)
    assert result.returncode == 1
    assert (audit["ok"], audit["tasks"], audit["violations"]) == (False, 4, 4)
    assert {violation["task_id"] for violation in audit["listed"]} == {lost, doubled, ended, stray}
    assert "4 violations" in dtqs("doctor", "--audit").stdout


def test_the_audit_of_a_sound_database_finds_nothing(dtqs: Run) -> None:
    result = dtqs("doctor", "--audit")
    assert (result.returncode, result.stdout[:13], "; 0 tasks checked" in result.stdout) == (0, "0 violations ", True)
