"""Commands whose standard streams are closed, full, or in another encoding. Only an own process can have such."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    line = f"exec {sys.executable} -m dtqs {command}"
    environment = {"PATH": "/usr/bin:/bin", "DTQS_SUPERVISOR_STATE_DIR": str(folder), **variables}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("command", "status", "errors"),
    [
        ("completion bash >&-", 0, ""),
        ("completion bash 2>&-", 0, ""),
        ("submit echo -p @- <&-", 2, "--payload @-: invalid JSON: Expecting value: line 1 column 1 (char 0)\n"),
        ("submit echo -p @- <&- 2>&-", 2, ""),
        ("health >&-", 1, ""),
        ("health >/dev/full", 1, ""),
    ],
)
def test_a_closed_stream_changes_no_exit_status(tmp_path: Path, command: str, status: int, errors: str) -> None:
    result = run(tmp_path, command)
    assert (result.returncode, result.stderr) == (status, errors)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("latin-1", "\\u0142"), ("ascii", "ł"), ("utf-8", "ł")], ids=["latin-1", "ascii", "utf-8"]
)
def test_characters_that_the_locale_lacks_are_escaped(tmp_path: Path, encoding: str, shown: str) -> None:
    result = run(tmp_path, "config show", PYTHONIOENCODING=encoding, LC_ALL="C.UTF-8", DTQS_LOG_FILE="/tmp/ł.log")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"/tmp/{shown}.log" in result.stdout


def test_bytes_of_a_name_that_are_no_text_are_reported_in_each_locale(tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-8"):
        result = run(tmp_path, "task $(printf 'a\\377')", PYTHONIOENCODING=encoding, DTQS_URL="http://127.0.0.1:9")
        assert (result.returncode, "Traceback" in result.stderr) == (2, False)
