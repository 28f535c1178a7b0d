"""A rolling deploy under load, node by node, and the way back: two versions work at once on one changed schema."""

import itertools
import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from dtqs.sandbox.postgres import DATABASE, PrivatePostgres
from dtqs.store.driver.schema import SCHEMA_VERSION
from tests.support.helpers import eventually
from tests.support.releases import ROOT, Node, Release, old_release
from tests.support.trial import OUTCOMES, SHORT, install_processors

LIGHT, HEAVY, PACE_SECONDS = 9, 1, 0.1
ENOUGH = 50
_WRONG = re.compile(r"^(?:\S+ (?:error|critical) .*|Traceback .*)$", re.MULTILINE)


class Clients:
    """Submit light and heavy tasks to the nodes in turn. On a lost connection the next node gets the same request."""

    def __init__(self, nodes: list[Node], key: str) -> None:
        self._nodes, self._headers = nodes, {"Authorization": f"Bearer {key}"}
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.by_url: Counter[str] = Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def post(self, node: Node, body: object) -> Any:
        """Submit through this node alone."""
        response = httpx.post(f"{node.url}/submit", json=body, headers=self._headers, timeout=30)
        assert response.status_code == 202, response.text
        self.accepted += [task["task_id"] for task in response.json()]
        return response.json()

    def last_event(self, node: Node, task_id: str) -> str:
        """Read the stream of a task at this node to its end, and return its last event."""
        with httpx.stream(
            "GET", f"{node.url}/sse", params={"task_id": task_id}, headers=self._headers, timeout=20
        ) as answer:
            assert answer.status_code == 200, answer.read()
            return [line for line in answer.iter_lines() if line.startswith("event:")][-1]

    def cancel(self, node: Node, task_id: str) -> None:
        response = httpx.post(f"{node.url}/tasks/{task_id}/cancel", headers=self._headers, timeout=30)
        assert response.status_code in (200, 202), response.text

    def _run(self) -> None:
        heavy = {"task_type": "echo", "payload": {"sleep_seconds": 0.05}}
        body = [{"task_type": "echo", "payload": {"n": 1}}] * LIGHT + [heavy] * HEAVY
        with httpx.Client(headers=self._headers, timeout=30) as client:
            for turn in itertools.count():
                self._submit(client, turn, body)
                if self._end.wait(PACE_SECONDS):
                    return

    def _submit(self, client: httpx.Client, turn: int, body: object) -> None:
        name = {"Idempotency-Key": secrets.token_hex(16)}
        for node in (self._nodes[(turn + n) % len(self._nodes)] for n in range(2 * len(self._nodes))):
            try:
                response = client.post(f"{node.url}/submit", json=body, headers=name)
            except httpx.TransportError:
                continue
            if response.status_code == 202:
                self.accepted += [task["task_id"] for task in response.json()]
                self.by_url[node.url] += 1
            else:
                self.refused.append(f"{response.status_code} {response.text}")
            return
        self.refused.append("no node takes connections")


@dataclass(frozen=True, slots=True)
class Deploy:
    """Two nodes, the versions that they run, and their clients."""

    old: Release
    new: Release
    nodes: list[Node]
    dsn: str

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def work_goes_on(self, clients: Clients) -> None:
        """Wait until every node has taken submits, and its workers have ended tasks."""
        before = [(clients.by_url[node.url], self._ended(node)) for node in self.nodes]

        def idle() -> list[str]:
            """Return the nodes that lag behind."""
            return [
                node.url
                for node, (taken, ended) in zip(self.nodes, before, strict=True)
                if clients.by_url[node.url] < taken + 5 or self._ended(node) < ended + ENOUGH
            ]

        eventually(lambda: not idle(), 30, "each node takes submits, and its workers end tasks")
        assert clients.refused == []

    def holder(self, task_id: str) -> Node:
        """Wait until a worker runs the task, and return its node."""
        query = "SELECT w.pid FROM leases l JOIN workers w ON w.id = l.worker_id WHERE %s::uuid = ANY (l.task_ids)"
        ((pid,),) = eventually(lambda: self.rows(query, task_id), 20, f"a worker holds {task_id}")
        return next(node for node in self.nodes if pid in node.pids())

    def _ended(self, node: Node) -> int:
        query = "SELECT count(*) FROM tasks t JOIN workers w ON w.id = t.worker_id WHERE w.pid = ANY (%s)"
        return int(self.rows(query, node.pids())[0][0])


@pytest.fixture(params=["previous", "oldest"])
def deploy(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PrivatePostgres, amqp_url: str
) -> Iterator[Deploy]:
    old = old_release(tmp_path / "old", oldest=request.param == "oldest")
    new = Release("today's", ROOT, (install_processors(tmp_path / "packages", "tests.support.journal", ["journal"]),))
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = f"{postgres.dsn.removesuffix(DATABASE)}{name}"
    settings: dict[str, Mapping[str, object]] = {
        **SHORT,
        "postgresql": {"dsn": dsn},
        "rabbitmq": {"url": amqp_url},
        # the API reads watched tasks again after a minute only, so the end of a stream comes as an event
        "api": {**SHORT["api"], "reread_seconds": 60},
        "lease": {**SHORT["lease"], "lease_seconds": 20},
        "processor:echo": {"faults": "on"},
        "files": {"directory": tmp_path / "files"},
    }
    nodes = [Node(tmp_path / name, settings) for name in ("node-a", "node-b")]
    try:
        yield Deploy(old, new, nodes, dsn)
    finally:
        for node in nodes:
            node.stop()


def both_know_all(deploy: Deploy, clients: Clients) -> list[str]:
    """Check that events, hints and cancels of one version reach the other. Return the cancelled tasks."""
    for node in deploy.nodes:
        body = [{"task_type": "echo", "payload": {"sleep_seconds": 2}, "priority": 9}]
        task_id = clients.post(node, body)[0]["task_id"]
        with ThreadPoolExecutor() as streams:
            ends = list(streams.map(clients.last_event, deploy.nodes, [task_id] * 2))
        assert ends == ["event: completed"] * 2
    cancelled = []
    for node in deploy.nodes:
        body = [{"task_type": "echo", "payload": {"sleep_seconds": 300}, "priority": 9}]
        cancelled.append(clients.post(node, body)[0]["task_id"])
        holder = deploy.holder(cancelled[-1])
        other = next(each for each in deploy.nodes if each is not holder)
        clients.cancel(other, cancelled[-1])
        assert clients.last_event(other, cancelled[-1]) == "event: cancelled"
    return cancelled


def no_alarm(deploy: Deploy) -> None:
    """Check that today's version finds no fault in the rows of the other."""
    doctor = deploy.nodes[0].run(deploy.new, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    top = deploy.nodes[0].run(deploy.new, "top", "--json")
    assert json.loads(top.stdout)["alarms"] == []


def replace(node: Node, release: Release) -> None:
    """Deploy a version to one node, as docs/operating.md says."""
    node.leave()
    node.start(release)


def judge(deploy: Deploy, accepted: list[str], cancelled: list[str]) -> None:
    eventually(lambda: not deploy.rows("SELECT 1 FROM tasks WHERE outcome IS NULL LIMIT 1"), 60, "every task ends")
    rows = deploy.rows("SELECT id::text, outcome, attempts, deaths, losses FROM tasks")
    assert sorted(row[0] for row in rows) == sorted(accepted)
    assert Counter(row[1] for row in rows) == {"completed": len(accepted) - len(cancelled), "cancelled": len(cancelled)}
    assert sorted(row[0] for row in rows if row[1] == "cancelled") == sorted(cancelled)
    assert [row for row in rows if row[2:] != (1, 0, 0)] == []
    finals = "SELECT task_id FROM logs WHERE event = ANY (%s) GROUP BY 1 HAVING count(*) > 1"
    assert deploy.rows(finals, list(OUTCOMES)) == []
    audit = deploy.nodes[0].run(deploy.new, "doctor", "--audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    for node in deploy.nodes:
        for name in ("supervisor", "api"):
            assert _WRONG.findall(node.log(name)) == []


def test_a_rolling_deploy_with_its_migration_and_the_way_back_lose_double_and_spend_nothing(deploy: Deploy) -> None:
    old, new, nodes = deploy.old, deploy.new, deploy.nodes
    made = nodes[0].run(old, "migrate")
    assert made.returncode == 0, made.stderr
    created = nodes[0].run(old, "key", "create", "clients", "--scope", "submit,read")
    assert created.returncode == 0, created.stderr
    for node in nodes:
        node.start(old)
    with Clients(nodes, created.stdout.strip()) as clients:
        deploy.work_goes_on(clients)
        expanded = nodes[0].run(new, "migrate")
        assert expanded.returncode == 0, expanded.stderr
        assert deploy.rows("SELECT value::int FROM settings WHERE name = 'schema_version'") == [(SCHEMA_VERSION,)]
        deploy.work_goes_on(clients)
        replace(nodes[0], new)
        deploy.work_goes_on(clients)
        cancelled = both_know_all(deploy, clients)
        no_alarm(deploy)
        clients.post(nodes[0], [{"task_type": "journal", "payload": {"file": str(nodes[0].folder / "journal")}}] * 20)
        deploy.work_goes_on(clients)
        replace(nodes[1], new)
        eventually(
            lambda: (
                deploy.rows("SELECT count(*) FROM tasks WHERE task_type = 'journal' AND outcome IS NOT NULL") == [(20,)]
            ),
            30,
            "the tasks that only new workers know have ended",
        )
        for node in nodes:
            replace(node, old)
            deploy.work_goes_on(clients)
    assert clients.refused == []
    judge(deploy, clients.accepted, cancelled)
