"""Commands whose standard streams are closed or full. Only a process of its own can have such."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
    line = f"exec {sys.executable} -m dtqs {command}"
    environment = {"PATH": "/usr/bin:/bin", "DTQS_SUPERVISOR_STATE_DIR": str(folder)}
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
