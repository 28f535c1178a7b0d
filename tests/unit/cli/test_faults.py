"""Faults around a command: each is reported in words or, if nobody reads, not at all. None prints a traceback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DTQS = [sys.executable, "-m", "dtqs"]


def run(
    *words: str, stdout: int | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    places = {"PYTHONPATH": str(ROOT), "DTQS_URL": "http://127.0.0.1:9"}
    return subprocess.run(
        [*DTQS, *words],
        stdout=stdout if stdout is not None else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, **places, **(environment or {})},
        check=False,
    )


@pytest.mark.parametrize(
    "words", [("--help",), ("config", "default"), ("config", "default", "--help"), ("completion", "bash")]
)
def test_a_full_disk_behind_standard_output_is_reported_in_words(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = run(*words, stdout=full.fileno())
    assert (ended.returncode, ended.stderr) == (
        os.EX_IOERR,
        "standard output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("words", [("config", "default"), ("completion", "bash")])
def test_a_reader_that_closes_early_is_no_fault(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = run(*words, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "a\x7f"])
def test_a_key_of_an_impossible_form_is_refused_before_any_request(key: str) -> None:
    ended = run("tasks", environment={"DTQS_API_KEY": key})
    assert ended.returncode == os.EX_CONFIG
    assert ended.stderr.startswith("DTQS_API_KEY: allowed are")
    assert len(ended.stderr.splitlines()) == 1
    assert key not in ended.stderr


def test_ctrl_c_while_commands_load_ends_without_a_message(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with subprocess.Popen(
        [*DTQS, "tasks"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as loading:
        assert loading.stdout
        assert loading.stderr
        assert loading.stdout.readline() == "loading\n"
        loading.send_signal(signal.SIGINT)
        assert loading.wait(30) == -signal.SIGINT
        assert loading.stderr.read() == ""


@pytest.mark.parametrize("name", ["nope", "dumb", ""])
def test_an_unknown_terminal_is_reported_in_words(name: str) -> None:
    ours, theirs = os.openpty()
    try:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": name}
        ended = subprocess.run(
            [*DTQS, "console"],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=environment,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 2
    assert (
        ended.stderr
        == f"TERM={name}: the console cannot draw on this type of terminal; try: TERM=xterm-256color dtqs console\n"
    )


def test_the_doctor_checks_the_rest_if_the_address_of_the_api_is_wrong() -> None:
    nowhere = {"DTQS_POSTGRESQL_DSN": "postgresql://127.0.0.1:9/x", "DTQS_RABBITMQ_URL": "amqp://127.0.0.1:9/"}
    done = run("doctor", "--json", environment={"DTQS_URL": "garbage", **nowhere})
    checks = {check["part"]: check for check in json.loads(done.stdout or b"{}")["checks"]}
    assert checks["API"]["state"] == "warning"
    assert "DTQS_URL = 'garbage'" in checks["API"]["found"]
    assert {"PostgreSQL", "RabbitMQ"} <= set(checks)
