"""A RabbitMQ cluster of three nodes under load, of which one dies or freezes."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dtqs.broker.topology import QUEUE
from dtqs.deadline import Deadline
from tests.matrix.trees import NotAvailable, tree
from tests.support.cluster import RabbitmqCluster
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.load import Load, longest_gap
from tests.support.trial import Trial

TASKS = 5000
MOST_SECONDS = 3.0
MOST_SECONDS_FROZEN = 30.0
VERSIONS = ["here", "trixie"]
BODY = {"task_type": "echo", "payload": {}}
USUAL = {
    "rabbitmq": {"queue_type": "quorum", "heartbeat_seconds": 20, "connect_timeout_seconds": 5},
    "lease": {"heartbeat_seconds": 5, "lease_seconds": 30, "grace_seconds": 5, "relay_seconds": 0.5},
}
"""The defaults, and not the short times of other tests."""


def started(request: pytest.FixtureRequest, servers_dir: Path, guarded: bool) -> Iterator[RabbitmqCluster]:
    """Start three nodes of this machine's RabbitMQ, or of that release of Debian."""
    found = None
    if request.param != "here":
        try:
            found = tree(request.param)
        except NotAvailable as reason:
            pytest.skip(f"RabbitMQ of Debian {request.param}: {reason}")
    made = RabbitmqCluster(servers_dir / f"rabbitmq-{secrets.token_hex(4)}", found, guarded)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest, servers_dir: Path) -> Iterator[RabbitmqCluster]:
    """Three nodes with RabbitMQ's own settings. Each test must leave them running."""
    yield from started(request, servers_dir, guarded=False)


@pytest.fixture(params=VERSIONS)
def guarded_cluster(request: pytest.FixtureRequest, servers_dir: Path) -> Iterator[RabbitmqCluster]:
    """Three nodes with the settings that docs/servers.md recommends."""
    yield from started(request, servers_dir, guarded=True)


def run_through(trial: Trial, fault: Callable[[], None]) -> tuple[float, Load]:
    """Submit the load, with the fault at a quarter of it. Return when it came, and the load."""
    with Load(trial, [BODY] * TASKS, 20, 0.1) as load:
        eventually(lambda: len(load.accepted) > TASKS // 4, 60, "a quarter was accepted")
        began = time.time()
        fault()
        load.join(120)
    return began, load


def judge(trial: Trial, load: Load) -> None:
    assert trial.done(120) == {"completed": TASKS}
    assert load.refused == 0
    assert sorted(load.accepted) == sorted(row[0] for row in trial.rows("SELECT id::text FROM tasks"))
    assert trial.spent() == {1: TASKS}
    audit = trial.run("doctor", "--audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_work_goes_on_after_the_death_of_the_leaders_node(trial: Try, cluster: RabbitmqCluster) -> None:
    system = trial(USUAL, amqp_url=cluster.vhost("death"), api=True)
    # the worst case: new connections know only the dead leader, and the queue refuses their hints from then on
    node = cluster.holder("death", "dtqs api publishes")
    cluster.lead("death", node)
    began, load = run_through(system, node.kill)
    gap = longest_gap(system, began, 20)
    print(f"{node.node} killed; the longest time without an outcome was {gap:.2f} s")
    node.start()
    node.wait_ready(Deadline(60))
    judge(system, load)
    assert gap <= MOST_SECONDS


def test_work_goes_on_beside_a_frozen_node(trial: Try, guarded_cluster: RabbitmqCluster) -> None:
    times = {"rabbitmq": {"queue_type": "quorum", "heartbeat_seconds": 2}}
    system = trial({**USUAL, **times}, amqp_url=guarded_cluster.vhost("frozen"), api=True)
    node = guarded_cluster.nodes[0]
    guarded_cluster.lead("frozen", node)
    try:
        began, load = run_through(system, node.freeze)
        # before the thaw: a frozen node must not hold up a task
        assert system.done(120) == {"completed": TASKS}
        gap = longest_gap(system, began, 60)
        print(f"{node.node} frozen; the longest time without an outcome was {gap:.2f} s")
    finally:
        node.thaw()
    judge(system, load)
    assert gap <= MOST_SECONDS_FROZEN


def test_auto_makes_quorum_queues_on_a_cluster_of_version_4(trial: Try, cluster: RabbitmqCluster) -> None:
    system = trial({**USUAL, "rabbitmq": {"queue_type": "auto"}}, amqp_url=cluster.vhost("auto"), api=True)
    assert set(system.outcomes(system.submit_many(10), 30)) == {"completed"}
    node = cluster.nodes[0]
    expected = "quorum" if int(node.ctl("version").partition(".")[0]) >= 4 else "classic"
    lines = node.ctl("list_queues", "-p", "auto", "name", "type", "--no-table-headers").splitlines()
    assert f"{QUEUE}\t{expected}" in lines


def test_a_classic_queue_whose_node_is_down_is_told_everywhere(trial: Try, cluster: RabbitmqCluster) -> None:
    config = {**USUAL, "rabbitmq": {"queue_type": "classic"}}
    system = trial(config, amqp_url=cluster.vhost("classic"), api=True)
    node = cluster.home("classic", quorum=False)
    node.kill()

    def told() -> str | None:
        """Return what /readyz says on the queue."""
        answer = system.client.get("/readyz").json()["rabbitmq"]
        return str(answer["reason"]) if answer["state"] == "connected" and QUEUE in answer.get("reason", "") else None

    eventually(told, 20, "/readyz names the queue")
    print(f"/readyz: {told()}")
    doctor = system.run("doctor", "--json")
    assert doctor.returncode == 1
    checks = {check["part"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert (checks["RabbitMQ"]["state"], checks["queue"]["state"]) == ("ok", "failed")
    assert "start the nodes of the cluster that are down" in checks["queue"]["advice"]
    top = json.loads(system.run("top", "--json").stdout)
    assert [alarm for alarm in top["alarms"] if QUEUE in alarm and "its tasks wait" in alarm], top["alarms"]
    assert [alarm for alarm in top["alarms"] if "missing" in alarm] == []
    ids = system.submit_many(100)
    node.start()
    node.wait_ready(Deadline(60))
    assert set(system.outcomes(ids, 60)) == {"completed"}
    eventually(lambda: told() is None, 20, "/readyz is silent again")
    system.check()


def test_a_quorum_queue_without_most_of_its_nodes_is_told_although_it_answers(
    trial: Try, cluster: RabbitmqCluster
) -> None:
    # the client's node is the one that lives on
    alive, *others = cluster.nodes
    url = alive.url.replace("%2F", cluster.vhost("minority").rpartition("/")[2])
    system = trial({**USUAL, "rabbitmq": {"queue_type": "quorum"}}, amqp_url=url, api=True)
    assert set(system.outcomes(system.submit_many(10), 30)) == {"completed"}
    for node in others:
        node.kill()
    ids = system.submit_many(10)
    words = f"it keeps no hints for {QUEUE}"

    def told() -> bool:
        reason = system.client.get("/readyz").json()["rabbitmq"].get("reason", "")
        alarms = json.loads(system.run("top", "--json").stdout)["alarms"]
        return words in reason and any(words in alarm for alarm in alarms)

    eventually(told, 60, "/readyz and an alarm name the queue")
    for node in others:
        node.start()
    for node in others:
        node.wait_ready(Deadline(60))
    assert set(system.outcomes(ids, 120)) == {"completed"}
    system.check()
