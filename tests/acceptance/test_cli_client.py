"""The commands about tasks against a running system: submit and wait, show, cancel, retry, and their exit statuses."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from dtqs.cli import main
from dtqs.resources import resource
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually
from tests.support.relay import Relay

PHOTO = str(resource("docs/media/rocket.jpg"))
Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    """Return a function that starts a command in the background, with its output in files."""

    def start(system: System, *arguments: str) -> "subprocess.Popen[str]":
        environment = os.environ | {
            "DTQS_CONFIG": str(system.config_path),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "dtqs", *arguments], stdout=out, stderr=err, env=environment, text=True
            )

    return start


def printed(tmp_path: Path) -> str:
    return (tmp_path / "err").read_text(encoding="utf-8")


def waited_task(tmp_path: Path) -> str:
    """Return the id that `submit --wait` prints before it waits."""
    match = eventually(
        lambda: re.search(r"^task (\S+)$", printed(tmp_path), re.MULTILINE),
        what="the command has printed the task's id",
    )
    assert match
    return match[1]


def config_for(folder: Path, url: str, key: str) -> tuple[str, str]:
    """Make a configuration for commands that use another URL and key. Return the options that name it."""
    (folder / "dtqs.ini").touch()
    (folder / "client.env").write_text(f"DTQS_URL={url}\nDTQS_API_KEY={key}\n", encoding="utf-8")
    return "--config", str(folder / "dtqs.ini")


def as_json(result: "subprocess.CompletedProcess[str]") -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_exit_status_gives_the_tasks_outcome(shared: System, begin: Begin, tmp_path: Path) -> None:
    one = shared
    completed = one.run("submit", "echo", "greeting=hello", "n=1", "--wait")
    assert (completed.returncode, json.loads(completed.stdout)) == (0, {"greeting": "hello", "n": 1}), completed.stderr
    failed = one.run("submit", "echo", "fail=permanent", "--wait")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "PermanentError: the payload asks for a permanent error" in failed.stderr
    record = one.run(
        "submit",
        "echo",
        "--payload",
        '{"fail": "transient"}',
        "--max-retries",
        "0",
        "--priority",
        "9",
        "--tag",
        "x",
        "--wait",
        "--json",
    )
    final = json.loads(record.stdout)
    assert (record.returncode, final["status"], final["attempt"], final["priority"], final["tags"]) == (
        1,
        "failed",
        1,
        9,
        ["x"],
    )
    late = one.run("submit", "echo", "--delay", "600", "--wait", "--wait-seconds", "1.5")
    assert (late.returncode, "the task goes on: dtqs task" in late.stderr) == (os.EX_TEMPFAIL, True)
    waiting = begin(one, "submit", "echo", "--delay", "600", "--wait")
    assert one.run("cancel", waited_task(tmp_path)).returncode == 0
    assert waiting.wait(20) == 3


def test_a_command_that_waits_can_be_interrupted(shared: System, begin: Begin, tmp_path: Path) -> None:
    waiting = begin(shared, "submit", "echo", "--delay", "600", "--wait")
    waited_task(tmp_path)
    eventually(lambda: "echo: pending" in printed(tmp_path), what="the stream has begun")
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(30) == 128 + signal.SIGINT
    assert "the task goes on: dtqs task" in printed(tmp_path)
    assert "Traceback" not in printed(tmp_path)


def test_local_files_are_uploaded_and_outputs_shown_with_their_paths(shared: System, tmp_path: Path) -> None:
    one = shared
    result = one.run("submit", "image", f"source=@{PHOTO}", "--wait")
    assert result.returncode == 0, result.stderr
    paths = re.findall(r"\S+$", result.stdout, re.MULTILINE)[1:]
    assert len(paths) == 3
    assert all(Path(path).read_bytes().startswith(b"\xff\xd8") for path in paths)
    assert "image: completed" in result.stderr
    (tmp_path / "payload.json").write_text('{"outputs": [{"name": "small", "format": "png"}]}', encoding="utf-8")
    asked = (
        "image",
        "--payload",
        f"@{tmp_path}/payload.json",
        f"source=@{PHOTO}",
        "outputs.0.width=100",
        "--wait",
        "--json",
    )
    record = as_json(one.run("submit", *asked))
    (output,) = record["result"]["outputs"]
    assert (output["name"], output["width"], output["media_type"]) == ("small", 100, "image/png")
    assert record["payload"]["source"].startswith("upload:")
    missing = one.run("submit", "image", "source=@/nowhere.jpg")
    assert (missing.returncode, missing.stderr) == (2, "@/nowhere.jpg: the file does not exist\n")


def test_a_wait_continues_after_a_kill_of_the_api(system: Factory, begin: Begin, tmp_path: Path) -> None:
    one = system({"supervisor": {"drain_seconds": 20}})
    waiting = begin(one, "submit", "echo", "steps=10", "sleep_seconds=5", "--wait")
    eventually(lambda: "step 2 of 10" in printed(tmp_path), what="the second step is printed")
    assert one.api
    os.killpg(one.api.pid, signal.SIGKILL)
    one.api.wait(30)
    one.start_api()
    assert waiting.wait(30) == 0, printed(tmp_path)
    assert "echo: reconnecting: " in printed(tmp_path)
    steps = re.findall(r"step (\d+) of 10", printed(tmp_path))
    assert steps == [str(number) for number in range(1, 11)]


def test_a_submit_is_repeated_while_the_api_is_away_and_makes_one_task(
    shared: System, begin: Begin, tmp_path: Path
) -> None:
    relay = Relay(int(shared.url.rpartition(":")[2]))
    relay.is_open = False
    config = config_for(tmp_path, f"http://127.0.0.1:{relay.port}", shared.key)
    waiting = begin(shared, "submit", "echo", "--tag", "repeated", *config)
    eventually(lambda: relay.refused, 20, "the command has met the closed API")
    relay.is_open = True
    assert waiting.wait(20) == 0, printed(tmp_path)
    relay.close()
    assert len(shared.client.get("/tasks", params={"tag": "repeated"}).json()["tasks"]) == 1


def test_tasks_are_listed_shown_cancelled_and_retried(shared: System) -> None:
    one = shared
    first = one.run("submit", "echo", "--delay", "600", "--tag", "first", "--tag", "listed").stdout.strip()
    ids = [one.submit({"n": n}, tags=["listed"]) for n in range(4)]
    one.wait_for(ids[-1])
    listed = as_json(one.run("tasks", "--tag", "listed", "--limit", "2", "--json"))
    assert [task["task_id"] for task in listed["tasks"]] == [ids[3], ids[2]]
    rest = as_json(one.run("tasks", "--tag", "listed", "--after", listed["next"], "--json"))
    assert [task["task_id"] for task in rest["tasks"]] == [ids[1], ids[0], first]
    table = one.run("tasks", "--status", "pending", "--tag", "listed").stdout.splitlines()
    assert [line.split()[:3] for line in table] == [["task", "type", "status"], [first, "echo", "pending"]]
    shown = one.run("task", first)
    assert shown.returncode == 0
    assert re.search(r"^tags +first, listed$", shown.stdout, re.MULTILINE)
    cancelled = one.run("cancel", first, ids[0])
    assert (cancelled.returncode, cancelled.stdout) == (2, f"{first} cancelled\n")
    assert f"{ids[0]}: Conflict" in cancelled.stderr
    assert one.run("task", first).returncode == 3
    again = one.run("retry", first).stdout.split()[0]
    assert one.run("retry", first).stdout.split()[0] == again
    assert as_json(one.run("task", again, "--json"))["retry_of"] == first


def run_here(system: System, *arguments: str) -> Result:
    """Run a command in this process, which is faster than a new interpreter."""
    return CliRunner().invoke(main, arguments, env={"DTQS_CONFIG": str(system.config_path)})


def test_tasks_that_match_a_filter_are_retried_or_cancelled(shared: System) -> None:
    one = shared
    failed = [one.submit({"fail": "permanent", "n": n}, tags=["a"]) for n in range(2)]
    other = one.submit({"fail": "permanent"}, tags=["b"])
    for task_id in (*failed, other):
        one.wait_for(task_id)
    again = json.loads(run_here(one, "retry", "--failed", "--type", "echo", "--tag", "a", "--json").stdout)
    assert {one.task(task["task_id"])["retry_of"] for task in again} == set(failed)
    assert one.rows("SELECT count(*) FROM tasks WHERE retry_of = %s", other) == [(0,)]
    run_here(one, "cancel", "--pending", "--type", "echo")  # those of earlier tests
    waiting = {one.submit(delay_seconds=600) for _ in range(2)}
    cancelled = run_here(one, "cancel", "--pending", "--type", "echo")
    assert (cancelled.exit_code, {line.split()[0] for line in cancelled.stdout.splitlines()}) == (0, waiting), (
        cancelled.output
    )
    for wrong in (["retry"], ["retry", other, "--failed"], ["cancel", other, "--tag", "a"]):
        assert run_here(one, *wrong).exit_code == 2


def test_commands_show_workers_queue_overview_and_logs(system: Factory) -> None:
    one = system()
    one.wait_for(one.submit({"fail": "permanent"}, tags=["\x1b[2J"]))
    running = one.submit({"steps": 1, "sleep_seconds": 60})
    later = one.submit(delay_seconds=600, priority=8)
    eventually(lambda: running in run_here(one, "workers").stdout, what="a worker shows its task")
    busy = [worker for worker in json.loads(run_here(one, "workers", "--json").stdout)["workers"] if worker["task_id"]]
    assert [(worker["state"], worker["task_id"]) for worker in busy] == [("busy", running)]
    queue = json.loads(run_here(one, "queue", "--json").stdout)
    assert ([task["task_id"] for task in queue["later_tasks"]], queue["depth"]["later"], queue["depth"]["pending"]) == (
        [later],
        1,
        0,
    )
    assert later in run_here(one, "queue").stdout
    top = run_here(one, "top")
    assert (top.exit_code, "healthy" in top.stdout, "the payload asks for a permanent error" in top.stdout) == (
        0,
        True,
        True,
    )
    assert json.loads(run_here(one, "top", "--json").stdout)["alarms"] == []
    rows = [json.loads(line) for line in run_here(one, "logs", "--level", "error", "--json").stdout.splitlines()]
    assert [(row["event"], row["task_type"]) for row in rows] == [("failed", "echo")]
    assert run_here(one, "logs", "--search", "permanent").stdout.count("\n") == 1
    one.client.post(f"/tasks/{running}/cancel")


@pytest.mark.parametrize("command", ["workers", "queue", "top", "logs"])
def test_commands_report_a_missing_database_at_once(command: str, tmp_path: Path) -> None:
    (tmp_path / "dtqs.ini").write_text("[postgresql]\ndsn = host=127.0.0.1 port=1 dbname=x\n", encoding="utf-8")
    away = CliRunner().invoke(main, [command, "--config", str(tmp_path / "dtqs.ini")])
    assert (away.exit_code, away.stdout) == (os.EX_UNAVAILABLE, "")
    assert "PostgreSQL" in away.stderr


def test_logs_are_shown_and_followed_and_cannot_control_the_terminal(shared: System) -> None:
    one = shared
    task_id = one.submit({"steps": 4, "sleep_seconds": 1.5})
    followed = one.run("logs", task_id, "--follow")
    assert followed.returncode == 0, followed.stderr
    assert followed.stdout.count(" progress ") == 4
    assert followed.stdout.splitlines()[-1].split()[2] == "completed"
    rows = [json.loads(line) for line in one.run("logs", task_id, "--json").stdout.splitlines()]
    assert [row["event"] for row in rows][-2:] == ["progress", "completed"]
    evil = one.submit({"fail": "permanent"}, tags=["\x1b[2J\nboo"])
    one.wait_for(evil)
    with psycopg.connect(one.dsn, autocommit=True) as connection:
        connection.execute("UPDATE logs SET message = %s WHERE task_id = %s", ["\x1b]0;owned\x07\nnext", evil])
    for command in (("logs", evil), ("task", evil), ("tasks",)):
        output = one.run(*command).stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x9b]", output), command
        assert not re.search(r"^(boo|next)", output, re.MULTILINE), command
    assert one.run("logs", evil, "--follow").returncode == 1


def test_a_refusal_of_the_api_is_printed_field_by_field(shared: System) -> None:
    one = shared
    wrong = one.run("submit", "echo", "steps=x", "fail=z", "--max-retries", "-1")
    assert wrong.returncode == 2
    assert {line.split(":")[0].strip() for line in wrong.stderr.splitlines()[1:]} >= {"max_retries"}
    fields = one.run("submit", "echo", "steps=x", "fail=z")
    assert {line.split(":")[0].strip() for line in fields.stderr.splitlines()[1:]} == {"payload.steps", "payload.fail"}
    unknown = one.run("submit", "imag", "a=1")
    assert (unknown.returncode, "image" in unknown.stderr) == (2, True)
    assert one.run("task", "0192f3a0-0000-7000-8000-000000000000").returncode == 2
    assert one.run("task", "../files/x").returncode == 2
    assert one.run("tasks", "--after", "nonsense").returncode == 2
    first = one.run("submit", "echo", "a=1", "--idempotency-key", "k").stdout
    assert one.run("submit", "echo", "a=1", "--idempotency-key", "k").stdout == first
    other = one.run("submit", "echo", "a=2", "--idempotency-key", "k")
    assert (other.returncode, "Conflict" in other.stderr) == (2, True)


def test_a_wrong_key_and_an_api_that_is_away_have_their_own_exit_statuses(shared: System, tmp_path: Path) -> None:
    assert shared.run("tasks", *config_for(tmp_path, shared.url, "dtqs_wrong")).returncode == os.EX_NOPERM
    away = shared.run("tasks", *config_for(tmp_path, "http://127.0.0.1:1", "dtqs_wrong"))
    assert (away.returncode, "the API at http://127.0.0.1:1 (" in away.stderr) == (os.EX_UNAVAILABLE, True)


def test_the_doctor_and_its_audit_find_no_fault_in_a_running_system(system: Factory) -> None:
    one = system()
    one.submit_many(50)
    assert one.wait_all() == {"completed": 50}
    found = {check["part"]: check["state"] for check in as_json(one.run("doctor", "--json"))["checks"]}
    assert set(found.values()) == {"ok"}, found
    assert {"workers", "queue", "API", "schema", "files"} <= set(found)
    audit = one.run("doctor", "--audit")
    assert (audit.returncode, audit.stdout[:13]) == (0, "0 violations ")
