"""The doctor's texts for conditions that a test cannot create: servers of other versions, and folders elsewhere."""

from pathlib import Path

import pytest

from dtqs import health
from dtqs.bare_httpx import httpx
from dtqs.cli.checks import machine, servers
from dtqs.cli.checks.postgresql import _schema, _server, _workers
from dtqs.cli.checks.servers import _broker, start_command
from dtqs.cli.checks.sessions import sessions, standby
from dtqs.cli.endpoint import Endpoint
from dtqs.config import Config, load
from dtqs.pulse import Pulse, PulseMemory
from dtqs.store.checkup import ServerFacts
from dtqs.store.driver.schema import SCHEMA_VERSION
from dtqs.store.sessions import SessionsLook, Setting


@pytest.mark.parametrize(("version", "state"), [(13, "failed"), (14, "ok"), (18, "ok")])
def test_a_server_that_is_too_old_is_a_failure(version: int, state: str) -> None:
    check = _server(ServerFacts(f"{version}.2", version, 0.0, {}, 1))
    assert (check.state, "14 or later" in check.advice) == (state, state == "failed")


@pytest.mark.parametrize(
    ("version", "compatible", "state", "words"),
    [
        (SCHEMA_VERSION, None, "ok", f"version {SCHEMA_VERSION}"),
        (SCHEMA_VERSION + 1, SCHEMA_VERSION, "ok", "made by a newer DTQS"),
        (SCHEMA_VERSION + 1, SCHEMA_VERSION + 1, "failed", f"needs {SCHEMA_VERSION}"),
        (SCHEMA_VERSION - 1, None, "failed", f"needs {SCHEMA_VERSION}"),
        (None, None, "failed", "no schema"),
    ],
)
def test_a_newer_schema_that_fits_is_no_failure(
    version: int | None, compatible: int | None, state: str, words: str
) -> None:
    check = _schema(ServerFacts("17.2", 17, 0.0, {}, version, compatible))
    assert check.state == state
    assert words in check.found


@pytest.mark.parametrize(
    ("version", "state"), [("3.9.27", "failed"), ("3.10.0", "ok"), ("4.2.1", "ok"), ("", "ok"), ("4.0.0-rc.1", "ok")]
)
def test_a_broker_that_is_too_old_is_a_failure(version: str, state: str) -> None:
    check = _broker(version, None)
    assert (check.state, "3.10 or later" in check.advice) == (state, state == "failed")


def test_missing_workers_are_a_failure_only_while_tasks_are_due() -> None:
    assert _workers([], 30.0, is_due=True).state == "failed"
    idle = _workers([], 30.0, is_due=False)
    assert (idle.state, idle.found) == ("warning", "no worker is alive; no task is due")


def test_a_sandbox_in_another_folder_is_started_by_naming_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert start_command(tmp_path / "var") == "dtqs up"
    assert start_command(tmp_path / "other") == "dtqs up --var other"


@pytest.mark.parametrize(
    ("status", "text", "state", "found"),
    [
        (200, '{"status": "ready"}', "ok", "is ready"),
        (200, "<html>", "warning", "answers 200, but not as the API does"),
        (302, "", "warning", "answers 302, but not as the API does"),
        (503, '{"reason": "no schema"}', "warning", "answers 503: no schema"),
    ],
)
def test_the_page_of_another_program_is_no_api(
    monkeypatch: pytest.MonkeyPatch, status: int, text: str, state: str, found: str
) -> None:
    monkeypatch.setattr(httpx.Client, "get", lambda *_, **__: httpx.Response(status, text=text))
    (check,) = servers.api(Endpoint("http://127.0.0.1:1", None, "DTQS_URL"))
    assert (check.state, check.found) == (state, f"http://127.0.0.1:1 {found}")


def video_node(folder: Path, text: str) -> Config:
    """Return a configuration whose ffmpeg is a script in a folder of its own, and whose ffprobe is missing."""
    program = folder / "my-ffmpeg"
    program.write_text("#!/bin/sh\necho ffmpeg version 7.1 of mine\n")
    program.chmod(0o755)
    path = folder / "dtqs.ini"
    # no API answers on port 1
    text += f"[supervisor]\nstate_dir = {folder}\n[api]\nport = 1\n"
    path.write_text(f"[processor:video]\nffmpeg = {program}\nffprobe = {folder}/none\n{text}", encoding="utf-8")
    return load(path, {})


@pytest.mark.parametrize(
    ("pools", "state"),
    [
        ("", "failed"),
        ("[pool:films]\ntask_types = video\n", "failed"),
        ("[pool:default]\ntask_types = echo, image\n", "warning"),
        ("[routes]\nvideo = films\n[pool:default]\nqueues = task_queue\n", "warning"),
    ],
)
def test_the_configured_programs_are_checked_and_needed_only_where_videos_run(
    tmp_path: Path, pools: str, state: str
) -> None:
    config = video_node(tmp_path, pools)
    ffmpeg, ffprobe = machine.programs(config)
    assert (ffmpeg.state, ffmpeg.found) == ("ok", f"{tmp_path}/my-ffmpeg: ffmpeg version 7.1")
    assert (ffprobe.state, ffprobe.found) == (state, f"{tmp_path}/none: not found")
    assert "[processor:video] ffprobe" in ffprobe.advice


@pytest.mark.parametrize(("children", "state"), [(1, "ok"), (2, "failed")])
def test_a_keeper_without_workers_needs_no_ffmpeg(tmp_path: Path, children: int, state: str) -> None:
    memory = PulseMemory("01929f3a-0000-4000-8000-000000000001")
    (tmp_path / "node-0").mkdir()
    memory.announce(str(tmp_path / "node-0"))
    memory.write(Pulse(1.0, 1.0, 30.0, 0, children, children, 0))
    _, ffprobe = machine.programs(video_node(tmp_path, ""))
    memory.close()
    assert ffprobe.state == state


@pytest.mark.parametrize(("answers", "state"), [(True, "ok"), (False, "failed")])
def test_an_api_without_a_supervisor_needs_no_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool, state: str
) -> None:
    monkeypatch.setattr(health, "check", lambda *_, **__: (answers, ""))
    _, ffprobe = machine.programs(video_node(tmp_path, ""))
    assert ffprobe.state == state
    assert ("not needed: the API runs here" in ffprobe.found) == answers


def test_a_folder_that_this_user_may_not_enter_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", closed)
    assert {(check.state, check.advice) for check in machine.disks(load(None, {}))} == {
        ("warning", "run the doctor as the user that runs DTQS")
    }


def test_a_standby_that_no_commit_waits_for_is_a_warning() -> None:
    """The rows of PostgreSQL 17 with one standby, before and after it got a name in synchronous_standby_names."""
    assert standby("", ["node2"]).state == "warning"
    assert "are lost with it" in standby("", ["node2"]).advice
    assert standby("ANY 1 (node2)", ["node2"]).found == "commits wait for ANY 1 (node2); node2 follows"


def test_a_pooler_that_keeps_prepared_statements_is_no_warning() -> None:
    """PgBouncer 1.24 with max_prepared_statements = 200."""
    setting = Setting("jit", "off", "off", True)
    assert [check.state for check in sessions(SessionsLook([[setting], [setting]], True, True))] == ["ok", "ok"]
