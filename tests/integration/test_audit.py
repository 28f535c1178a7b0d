"""The command `doctor --audit` on a real database: parts of the tasks at the same time, and one answer."""

import json

import pytest
from click.testing import CliRunner, Result

from dtqs.cli import main
from tests.support.fix_store import World


def audit(world: World) -> Result:
    variables = {"DTQS_POSTGRESQL_DSN": world.section.dsn.get_secret_value(), "DTQS_CONFIG": None}
    return CliRunner(env=variables).invoke(main, ["doctor", "--audit", "--json"])


def test_an_audit_of_many_parts_finds_each_violation_once(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.cli.doctor.AUDIT_BATCH", 3)
    tasks = fresh_world.submit(120)
    fresh_world.execute("ANALYZE tasks")
    sound = audit(fresh_world)
    assert (sound.exit_code, json.loads(sound.stdout)) == (
        0,
        {"ok": True, "tasks": 120, "violations": 0, "listed": []},
    )
    lost = tasks[::7]
    fresh_world.rows("DELETE FROM backlog WHERE task_id = ANY (%s::uuid[]) RETURNING 1", lost)
    found = audit(fresh_world)
    answer = json.loads(found.stdout)
    assert (found.exit_code, answer["tasks"], answer["violations"]) == (1, 120, len(lost))
    assert [one["task_id"] for one in answer["listed"]] == lost
