"""Both images run every part of DTQS, read-only and as any user, against real servers: see bin/test-image."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import psycopg
import pytest
from psycopg import sql

from dtqs.client import Client, Task
from dtqs.sandbox.postgres import PrivatePostgres
from tests.containers.container import Container, Image
from tests.support.films import film
from tests.support.helpers import eventually, free_port
from tests.support.source import ROOT

IMAGES = {"dtqs": 10001, "dtqs-media": 23456}
"""The targets, and the users that run them here."""
PICTURE, RARE = ROOT / "docs/media/rocket.jpg", ROOT / "tests/data/pictures/p3.jxl"
LOAD_ALL = """
import ctypes, pathlib, sys, sysconfig
for folder in [pathlib.Path(sysconfig.get_path("purelib"))]:
    found = [path for path in folder.rglob("*.so*") if path.is_file()]
    for path in found: ctypes.CDLL(str(path))
    print(len(found))
"""
ORPHANS = "for i in 1 2 3; do (sleep 0.1 &) done"
ZOMBIES = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"
Start = Callable[..., Container]


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest, tmp_path: Path, postgres: PrivatePostgres, amqp_url: str) -> Image:
    """An image with an empty database, in the manner of compose.yaml: secrets in files that belong to root."""
    user = IMAGES[request.param]
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    secrets, state = tmp_path / "secrets", tmp_path / "state"
    secrets.mkdir()
    state.mkdir()
    (state / "files").mkdir()
    for folder in (state, state / "files"):
        folder.chmod(0o1777)  # as the image makes its volume
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        name = f"containers_{request.param.replace('-', '_')}_{os.getpid()}_{time.monotonic_ns()}"
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    (secrets / "postgresql.dsn").write_text(f"{postgres.dsn.rpartition('/')[0]}/{name}")
    (secrets / "rabbitmq.url").write_text(amqp_url)
    environment = {
        "DTQS_POSTGRESQL_DSN_FILE": "/run/secrets-of-dtqs/postgresql.dsn",
        "DTQS_RABBITMQ_URL_FILE": "/run/secrets-of-dtqs/rabbitmq.url",
        "DTQS_LOG_FORMAT": "json",
        "DTQS_API_HOST": "0.0.0.0",
        "DTQS_API_PORT": str(free_port()),
        "DTQS_API_WORKERS": "1",
        "DTQS_POOL_DEFAULT_WORKERS": "2",
        "DTQS_LEASE_LEASE_SECONDS": "6",
        "DTQS_LEASE_HEARTBEAT_SECONDS": "1",
        "DTQS_RABBITMQ_HEARTBEAT_SECONDS": "6",
    }
    return Image(Path(os.environ["DTQS_TEST_IMAGES"], request.param), state, secrets, user, environment)


@pytest.fixture
def start(image: Image) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*command: str) -> Container:
            container = Container(image, *command)
            stack.callback(container.kill)
            return container

        yield begin


def healthy(container: Container, *probe: str) -> None:
    """Wait until the image's own HEALTHCHECK, or another probe, is content."""

    def well() -> bool:
        return container.run("dtqs", "health", *(probe or ("any",))).returncode == 0

    eventually(well, 30, container.log.name)


def outcome(client: Client, task_type: str, payload: dict[str, object]) -> Task:
    return client.wait(client.submit(task_type, payload), wait_seconds=120)


def test_a_system_of_containers(image: Image, start: Start, tmp_path: Path) -> None:
    assert start("dtqs", "migrate").wait(60) == 0
    api = start("dtqs", "api")
    healthy(api)
    healthy(api, "api", "--live")
    key = orjson.loads(api.run("dtqs", "key", "create", "ops", "--scope", "submit,read,admin", "--json").stdout)["key"]
    with Client(f"http://127.0.0.1:{image.environment['DTQS_API_PORT']}", key) as client:
        workers = start("dtqs", "supervisor")
        healthy(workers)
        healthy(workers, "supervisor")
        check_tasks(client, image, tmp_path)
        check_process_one(workers)
        check_ends(client, workers, start)
    began = time.monotonic()
    api.send(signal.SIGTERM)
    assert api.wait(30) == 0
    assert time.monotonic() - began < 15
    assert "Traceback" not in api.text


def check_tasks(client: Client, image: Image, tmp_path: Path) -> None:
    assert outcome(client, "echo", {"a": 1}).status == "completed"
    picture = client.upload(PICTURE).uri
    assert outcome(client, "image", {"source": picture}).status == "completed"
    made = outcome(client, "image", {"source": client.upload(RARE).uri})
    clip = client.upload(film(tmp_path / "clip.mp4")).uri
    if image.root.name == "dtqs-media":
        assert made.status == "completed"
        assert outcome(client, "video", {"source": clip}).status == "completed"
    else:
        assert made.status == "failed"
        assert "dtqs[media]" in str(made.error)


def check_process_one(workers: Container) -> None:
    """Nothing of the root is writable, all libraries load after their symbols are gone, and orphans are reaped."""
    assert workers.run("touch", "/opt/dtqs/x").returncode == 1
    assert workers.run("ls", "/dev/shm").returncode == 2
    loaded = workers.run("python", "-c", LOAD_ALL)
    assert int(loaded.stdout or 0) > 50, loaded.stderr
    assert workers.run("sh", "-c", ORPHANS).returncode == 0
    eventually(lambda: workers.run("sh", "-c", f"! pgrep sleep >/dev/null 2>&1; {ZOMBIES}").stdout.strip() == "0", 10)
    assert "CapEff:\t0000000000000000" in workers.run("cat", "/proc/1/status").stdout


def check_ends(client: Client, workers: Container, start: Start) -> None:
    """A KILL loses nothing, a TERM drains, and a keeper alone publishes what becomes due."""
    long = client.submit("echo", {"sleep_seconds": 3})
    eventually(lambda: client.task(long).status == "in_progress", 20)
    workers.send(signal.SIGKILL)
    workers.wait(20)
    keeper = start("dtqs", "keeper")
    healthy(keeper, "supervisor")  # not "any", as the API shares the network here
    due = client.submit("echo", {}, delay_seconds=0.5)
    keeper.send(signal.SIGTERM)
    assert keeper.wait(30) == 0
    again = start("dtqs", "supervisor")
    healthy(again, "supervisor")
    assert [client.wait(task, wait_seconds=60).status for task in (long, due)] == ["completed", "completed"]
    drained = client.submit("echo", {"sleep_seconds": 2})
    eventually(lambda: client.task(drained).status == "in_progress", 20)
    again.send(signal.SIGTERM)
    assert again.wait(60) == 0
    assert client.task(drained).status == "completed"
    assert "Traceback" not in again.text


def test_a_term_at_the_first_moment_ends_each_command(start: Start) -> None:
    for command in ("supervisor", "keeper"):
        container = start("dtqs", command)
        eventually(lambda container=container: container.run("true").returncode == 0, 10)
        container.send(signal.SIGTERM)
        container.wait(60)
