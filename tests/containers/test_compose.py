"""compose.yaml starts a whole system, and the commands of docs/docker.md run a task in it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import orjson

from tests.containers.compose import Compose
from tests.support.source import ROOT

_DOCKER = """#!/usr/bin/env bash
# docker compose exec -T [--env NAME=VALUE] api COMMAND
[ "$1 $2 $3" = "compose exec -T" ] || exit 64
shift 3
variables=()
while [ "$1" = --env ]; do variables+=("$2"); shift 2; done
[ "$1" = api ] || exit 65
shift
exec {enter} env "${{variables[@]}}" "$@"
"""


def test_the_commands_of_the_docs_run_a_task(servers_dir: Path) -> None:
    text = (ROOT / "docs/docker.md").read_text(encoding="utf-8")
    block = re.search(r"## One command\n\n```sh\n(.+?)```", text, re.DOTALL)
    assert block
    first, *middle, last = block[1].splitlines()
    folder = servers_dir / "compose"
    folder.mkdir()
    with Compose(ROOT / "compose.yaml", folder) as system:
        assert first == "docker compose up --build --detach --wait"
        system.up()
        shown = in_shell("\n".join(middle), folder, system)
        assert "greeting: hello" in shown or '"greeting": "hello"' in shown, shown
        made = orjson.loads(shown.splitlines()[-1])["tasks"]
        assert [(task["task_type"], task["status"]) for task in made] == [("echo", "completed")]
        before = system.read("secrets", "postgresql.dsn")
        assert (system.again("secrets"), system.read("secrets", "postgresql.dsn")) == (0, before)
        assert last.startswith("docker compose down")
        assert system.down() == {"api": 0, "workers": 0}


def in_shell(script: str, folder: Path, system: Compose) -> str:
    """Run the commands with a `docker` whose `compose exec -T` enters the player's containers."""
    container = system.container("api")
    variables = [f"{name}={value}" for name, value in container.variables.items()]
    docker = folder / "docker"
    docker.write_text(_DOCKER.format(enter=shlex.join(["env", "-i", *variables, *container.entering()])))
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
