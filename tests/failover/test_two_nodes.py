"""Two nodes on hosts of their own, each cut off from the servers or frozen under load: no task is lost or doubled."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.distant_node import BridgePostgres, BridgeRabbitmq, DistantNode
from tests.support.helpers import eventually
from tests.support.journal import Halt, overlap, read_runs
from tests.support.load import Load
from tests.support.namespaces import Bridge
from tests.support.trial import Trial

TASKS = 5000
LONG = 10
LONG_STEPS = 200  # 4 s: longer than the lease
WORKERS = 4
MOST_OVERLAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TwoNodes:
    """The system, and the node that gets the faults."""

    trial: Trial
    bridge: Bridge
    postgres: BridgePostgres
    rabbitmq: BridgeRabbitmq
    near: DistantNode
    far: DistantNode
    journal: Path
    halts: list[Halt] = field(default_factory=list)


@pytest.fixture
def two_nodes(
    tmp_path: Path,
    packages: Path,
    bridge: Bridge,
    bridge_postgres: BridgePostgres,
    bridge_rabbitmq: BridgeRabbitmq,
) -> Iterator[TwoNodes]:
    config = {"pool:default": {"workers": WORKERS}}
    trial = Trial(tmp_path / "system", bridge_postgres.dsn, bridge_rabbitmq.url, config, packages)
    near, far = DistantNode(trial, bridge.host()), DistantNode(trial, bridge.host())
    try:
        trial.start_api()
        for node in (near, far):
            node.start()
        yield TwoNodes(trial, bridge, bridge_postgres, bridge_rabbitmq, near, far, tmp_path / "journal")
    finally:
        bridge.heal()
        for node in (near, far):
            node.stop()
        trial.stop()


def bodies(journal: Path) -> list[dict[str, object]]:
    return [{"task_type": "journal", "payload": {"file": str(journal)}}] * TASKS


def submit_long(system: TwoNodes) -> list[str]:
    """Submit long tasks before all others. Three have their effect at the beginning, the others at the end.

    A lost task of the first kind fails. A node holds WORKERS of these tasks, so at least one of them runs again.
    """
    payloads = [
        {"file": str(system.journal), "steps": LONG_STEPS, "effect_at": 0 if n % 4 == 0 else LONG_STEPS}
        for n in range(LONG)
    ]
    body = [{"task_type": "journal", "payload": payload, "priority": 9} for payload in payloads]
    response = system.trial.client.post("/submit", json=body)
    assert response.status_code == 202, response.text
    return [task["task_id"] for task in response.json()]


def held_by(node: DistantNode, trial: Trial, ids: list[str]) -> list[str]:
    """Return which of the tasks the node's workers hold."""
    query = (
        "SELECT task_id::text FROM leases l, unnest(l.task_ids) task_id"
        " WHERE l.worker_id = ANY (%s::uuid[]) AND task_id = ANY (%s::uuid[])"
    )
    return [row[0] for row in trial.rows(query, [worker.worker_id for worker in node.workers()], ids)]


def ended(trial: Trial) -> int:
    return int(trial.rows("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL")[0][0])


@contextmanager
def cut(system: TwoNodes, *servers: BridgePostgres | BridgeRabbitmq) -> Iterator[None]:
    system.bridge.cut(system.far.host, [server.port for server in servers])
    yield
    system.bridge.heal()


@contextmanager
def frozen(system: TwoNodes) -> Iterator[None]:
    began = time.monotonic()
    system.halts.append(Halt(system.far.freeze(), began, math.inf))
    yield
    system.halts[-1].ended = time.monotonic()
    system.far.thaw()


def all_ended(system: TwoNodes, held: list[str]) -> bool:
    query = "SELECT 1 FROM tasks WHERE id = ANY (%s::uuid[]) AND outcome IS NULL"
    return not system.trial.rows(query, held)


def one_runs_again(system: TwoNodes, held: list[str]) -> bool:
    runs = read_runs(system.journal)
    return any(len(runs[task_id]) > 1 and not runs[task_id][1].events["end"] for task_id in held)


def run_through(
    system: TwoNodes,
    fault: AbstractContextManager[None],
    over: Callable[[TwoNodes, list[str]], bool] = all_ended,
) -> list[str]:
    """Submit the load, and break the far node while it holds long tasks, until `over` says so of these."""
    trial, far = system.trial, system.far
    with Load(trial, bodies(system.journal), 50, 0.2) as load:
        eventually(lambda: ended(trial) > TASKS // 10, 30, "a tenth has ended")
        long = submit_long(system)
        held = eventually(
            lambda: len(found := held_by(far, trial, long)) == WORKERS and found, 20, "it holds long tasks"
        )
        with fault:
            began, before = time.monotonic(), ended(trial)
            eventually(lambda: over(system, held or []), 30, "its long tasks are with the other node")
            eventually(lambda: ended(trial) >= before + TASKS // 100, 30, "work goes on")
            lasted = time.monotonic() - began
        eventually(lambda: len(far.workers()) == WORKERS, 30, "the node has all its workers again")
        load.join(120)
    print(f"the fault lasted {lasted:.1f} s")
    return load.accepted + long


def judge(system: TwoNodes, accepted: list[str]) -> int:
    """Check the promise against database and journal, and print the figures. Return how many tasks the node has lost.

    They ran again, or failed because their effect had begun.
    """
    trial = system.trial
    outcomes, runs = trial.done(180), read_runs(system.journal)
    assert sorted(accepted) == sorted(row[0] for row in trial.rows("SELECT id::text FROM tasks"))
    effects = {task_id: sum(run.events["effect"] for run in runs.get(task_id, [])) for task_id in accepted}
    assert max(effects.values()) == 1
    completed = [row[0] for row in trial.rows("SELECT id::text FROM tasks WHERE outcome = 'completed'")]
    assert [task_id for task_id in completed if effects[task_id] != 1] == []
    failed = trial.rows("SELECT id::text, error ->> 'message' FROM tasks WHERE outcome = 'failed'")
    assert [row for row in failed if "is not known" not in row[1]] == []
    audit = trial.run("doctor", "--audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    most = max(overlap(attempts, system.halts) for attempts in runs.values())
    again = sum(len(attempts) > 1 for attempts in runs.values())
    print(f"{len(accepted)} tasks: {dict(outcomes)}, {again} ran again, overlap {most:.3f} s")
    assert most <= MOST_OVERLAP_SECONDS
    return again + len(failed)


def test_a_node_that_is_cut_off_from_postgresql_leaves_its_tasks_to_the_other(two_nodes: TwoNodes) -> None:
    assert judge(two_nodes, run_through(two_nodes, cut(two_nodes, two_nodes.postgres))) > 0


def test_a_node_that_is_cut_off_from_rabbitmq_finishes_its_tasks_itself(two_nodes: TwoNodes) -> None:
    assert judge(two_nodes, run_through(two_nodes, cut(two_nodes, two_nodes.rabbitmq))) == 0
    assert "broker connection lost" in two_nodes.far.log()


def test_a_node_that_is_cut_off_from_both_leaves_its_tasks_to_the_other(two_nodes: TwoNodes) -> None:
    assert judge(two_nodes, run_through(two_nodes, cut(two_nodes, two_nodes.postgres, two_nodes.rabbitmq))) > 0


def test_a_frozen_node_wakes_beside_the_new_attempts_of_its_tasks(two_nodes: TwoNodes) -> None:
    assert judge(two_nodes, run_through(two_nodes, frozen(two_nodes), one_runs_again)) > 0
