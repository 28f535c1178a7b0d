"""The examples of docs/clients.md run as printed and do what the page says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_client import Server
from tests.support.fix_system import System

ROOT = Path(__file__).parents[2]
ACCEPTED = {"task_id": "t", "status": "pending", "links": {"sse": "/sse?task_id=t"}}
SOON = """const slow = setTimeout;
globalThis.setTimeout = (call, milliseconds, ...rest) => slow(call, milliseconds / 100, ...rest);
"""
"""Shortens pauses between tries, whose length these tests do not check."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def example(title: str, language: str) -> str:
    """Return the first code block of a language below a heading."""
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8").partition(f"\n## {title}\n")[2]
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def node(server: Server, more: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the page's `submit` function, followed by `more`."""
    require("node")
    functions = example("JavaScript", "js").partition("\nconst { task_id")[0]
    program = folder / "program.mjs"
    program.write_text(SOON + functions + more, encoding="utf-8")
    environment = {**os.environ, "DTQS_URL": server.url, "DTQS_API_KEY": "k"}
    return subprocess.run(["node", program], capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_the_shell_example_runs(shared: System, tmp_path: Path) -> None:
    require("bash", "curl", "jq")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    environment = {**os.environ, "DTQS_URL": shared.url, "DTQS_API_KEY": shared.key}
    script = "set -euo pipefail\n" + example("curl", "sh")
    ended = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "event: completed" in ended.stdout
    assert (tmp_path / "small.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_the_javascript_submits_with_the_idempotency_key_in_the_header_only(server: Server, tmp_path: Path) -> None:
    server.answers = {"POST /submit": (202, ACCEPTED)}
    ended = node(
        server,
        'console.log((await submit("echo", { n: 1 }, { idempotencyKey: "order-17", priority: 9 })).task_id);',
        tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (0, "t\n"), ended.stderr
    ((_, body, headers),) = server.seen
    assert body == {"task_type": "echo", "payload": {"n": 1}, "priority": 9}
    assert headers["idempotency-key"] == "order-17"


def test_the_javascript_repeats_a_failed_submit_under_one_key(server: Server, tmp_path: Path) -> None:
    server.lost, server.answers = (
        1,
        {"POST /submit": lambda _: (503, {"title": "away"}) if len(server.seen) < 4 else (202, ACCEPTED)},
    )
    ended = node(server, 'console.log((await submit("echo", {})).task_id);', tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "t\n"), ended.stderr
    assert (len(server.seen), len({headers["idempotency-key"] for _, _, headers in server.seen})) == (4, 1)


@pytest.mark.parametrize(("status", "tries"), [(503, 5), (500, 5), (429, 5), (422, 1), (401, 1)])
def test_the_javascript_gives_up_after_its_tries(server: Server, tmp_path: Path, status: int, tries: int) -> None:
    problem = {"title": "No", "detail": "in words", "errors": [{"field": "payload.n", "message": "x"}]}
    server.answers = {"POST /submit": lambda _: (status, problem) if len(server.seen) < 20 else (202, ACCEPTED)}
    ended = node(
        server,
        'try { await submit("echo", {}); }'
        " catch (error) { console.log(JSON.stringify([error.message, error.status, error.errors])); }",
        tmp_path,
    )
    assert json.loads(ended.stdout or "null") == ["in words", status, problem["errors"]], ended.stderr
    assert len(server.seen) == tries
