"""Both images run every part of DTQS, read-only and as any user, against real servers: see bin/test-image."""

import functools
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import orjson
import psycopg
import pytest
from psycopg import sql

from dtqs.client import Client, Task
from dtqs.sandbox.postgres import PrivatePostgres
from tests.containers.container import Container, Place
from tests.containers.image import Image
from tests.support.films import film
from tests.support.helpers import eventually, free_port
from tests.support.source import ROOT

USERS = {"dtqs": "", "dtqs-media": "23456:34567"}
"""The targets, and the users that run them here: the image's own, and any other."""
PICTURE, RARE = ROOT / "docs/media/rocket.jpg", ROOT / "tests/data/pictures/p3.jxl"
LOAD_ALL = """
import ctypes, pathlib, sys, sysconfig
for folder in [pathlib.Path(sysconfig.get_path("purelib"))]:
    found = [path for path in folder.rglob("*.so*") if path.is_file()]
    for path in found: ctypes.CDLL(str(path))
    print(len(found))
"""
ORPHANS = "for i in 1 2 3; do (sleep 0.1 & echo $!) done"
Start = Callable[..., Container]


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, postgres: PrivatePostgres, amqp_url: str) -> Place:
    """An image with an empty database, in the manner of compose.yaml: secrets in files that belong to root."""
    image = Image.load(request.param)
    secrets, state = tmp_path / "secrets", tmp_path / "state"
    secrets.mkdir()
    subprocess.run(["cp", "-a", image.root / "var/lib/dtqs", state], check=True)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        name = f"containers_{request.param.replace('-', '_')}_{time.monotonic_ns()}"
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    (secrets / "postgresql.dsn").write_text(f"{postgres.dsn.rpartition('/')[0]}/{name}")
    (secrets / "rabbitmq.url").write_text(amqp_url)
    environment = {
        "DTQS_POSTGRESQL_DSN_FILE": "/run/secrets-of-dtqs/postgresql.dsn",
        "DTQS_RABBITMQ_URL_FILE": "/run/secrets-of-dtqs/rabbitmq.url",
        "DTQS_LOG_FORMAT": "json",
        "DTQS_API_PORT": str(free_port()),
        "DTQS_API_WORKERS": "1",
        "DTQS_POOL_DEFAULT_WORKERS": "2",
        "DTQS_LEASE_LEASE_SECONDS": "6",
        "DTQS_LEASE_HEARTBEAT_SECONDS": "1",
        "DTQS_RABBITMQ_HEARTBEAT_SECONDS": "6",
    }
    mounts = {"/var/lib/dtqs": state, "/run/secrets-of-dtqs": secrets}
    return Place(image, USERS[request.param] or image.user, environment, mounts)


@pytest.fixture
def start(place: Place, tmp_path: Path) -> Iterator[Start]:
    """Start a command of the image as an engine does: through its entry point."""
    with ExitStack() as stack:

        def begin(*command: str) -> Container:
            log = tmp_path / f"{command[0]}-{place.image.root.name}.log"
            container = Container(replace(place, log=log), *place.image.entrypoint, *command)
            stack.callback(container.kill)
            return container

        yield begin


def healthy(container: Container, *probe: str) -> None:
    """Wait until a probe is content."""
    eventually(lambda: container.run("dtqs", "health", *probe).returncode == 0, 30, container.log.name)


def outcome(client: Client, task_type: str, payload: dict[str, object]) -> Task:
    return client.wait(client.submit(task_type, payload), wait_seconds=120)


def test_a_system_of_containers(place: Place, start: Start, tmp_path: Path) -> None:
    assert start("migrate").wait(60) == 0
    api = start("api")
    eventually(lambda: api.run(*place.image.probe).returncode == 0, 30, "the HEALTHCHECK of the image")
    healthy(api, "api", "--live")
    key = orjson.loads(api.run("dtqs", "key", "create", "ops", "--scope", "submit,read,admin", "--json").stdout)["key"]
    with Client(f"http://127.0.0.1:{place.environment['DTQS_API_PORT']}", key) as client:
        workers = start("supervisor")
        healthy(workers, "supervisor")
        check_process_one(workers)
        check_tasks(client, place.image, tmp_path)
        check_console(start)
        check_orphans(workers, api)
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
        assert made.status == "completed", made.error
        assert outcome(client, "video", {"source": clip}).status == "completed"
    else:
        assert made.status == "failed"
        assert "dtqs[media]" in str(made.error)


def check_console(start: Start) -> None:
    console = start("console", "--once", "--json")
    assert console.wait(30) == 0, console.text
    assert {"queue", "workers"} <= set(orjson.loads(console.text)), console.text


def check_process_one(workers: Container) -> None:
    """Nothing of the root is writable, no capability is left, and all libraries load after their symbols are gone."""
    assert workers.run("touch", "/opt/dtqs/x").returncode == 1
    assert workers.run("ls", "/dev/shm").returncode == 2
    loaded = workers.run("python", "-c", LOAD_ALL)
    assert int(loaded.stdout or 0) > 50, loaded.stderr
    status = workers.run("cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status


def are_gone(container: Container, paths: list[str]) -> bool:
    return container.run("ls", "-d", *paths).stdout == ""


def check_orphans(*containers: Container) -> None:
    """Process 1 reaps processes that it did not start."""
    for container in containers:
        orphans = container.run("sh", "-c", ORPHANS).stdout.split()
        assert len(orphans) == 3
        paths = [f"/proc/{pid}" for pid in orphans]
        eventually(functools.partial(are_gone, container, paths), 10)


def check_ends(client: Client, workers: Container, start: Start) -> None:
    """A KILL loses nothing, a TERM drains, and a keeper alone publishes what becomes due."""
    long = client.submit("echo", {"sleep_seconds": 3})
    eventually(lambda: client.task(long).status == "in_progress", 20)
    workers.send(signal.SIGKILL)
    workers.wait(20)
    keeper = start("keeper")
    healthy(keeper, "supervisor")  # not "any", as the API shares the network here
    due = client.submit("echo", {}, delay_seconds=0.5)
    keeper.send(signal.SIGTERM)
    assert keeper.wait(30) == 0
    again = start("supervisor")
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
        container = start(command)
        eventually(functools.partial(container.catches, signal.SIGTERM), 30)
        container.send(signal.SIGTERM)
        assert container.wait(60) in {0, 128 + signal.SIGTERM}, container.text
