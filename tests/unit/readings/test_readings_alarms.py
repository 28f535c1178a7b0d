"""Alarms of a reading, in words; a healthy system has none."""

import dataclasses

import pytest

from dtqs.given_up import GivenUpSlots
from dtqs.readings import Health, KeeperReading, QueueReading, Reading, WorkerReading, alarms
from dtqs.readings.alarms import Seen
from tests.unit.readings.values import HEALTHY, WORKER, changed, seen, waiting

AWAY = Health("PostgreSQL", "away", "connection refused")
KNOWS = dataclasses.replace(WORKER, task_types=("image",))
BUSY = dataclasses.replace(WORKER, state="busy", task_id="t1", task_type="echo", busy_seconds=70.0)
GIVEN_UP = KeeperReading("k1", "keeper", "node", 1.0, (GivenUpSlots("a/0, a/1", 2, "no memory"),))
UNKEPT = KeeperReading("k1", "keeper", "node", 1.0, unkept=("task_queue",))
DUE = waiting(1, 0.5)
assert HEALTHY.depth
MORE = dataclasses.replace(HEALTHY.depth, more=True)
DRAINING = dataclasses.replace(WORKER, state="draining")
LATE = dataclasses.replace(WORKER, worker_id="w2", slot=1, age_seconds=40.0, late=True)


def test_a_healthy_system_raises_no_alarm() -> None:
    assert alarms(HEALTHY, seen()) == ()


@pytest.mark.parametrize("workers", [(), (DRAINING,)])
def test_pools_that_scaled_to_zero_raise_no_alarm_before_a_task_is_due(workers: tuple[WorkerReading, ...]) -> None:
    assert alarms(changed(workers=workers), seen()) == ()
    assert len(alarms(changed(workers=workers, depth=DUE), seen())) == 1


@pytest.mark.parametrize(
    ("reading", "known", "words"),
    [
        (changed(workers=None, processes=None, depth=None), seen(database=AWAY), "PostgreSQL is away"),
        (HEALTHY, seen(broker=dataclasses.replace(AWAY, name="RabbitMQ")), "RabbitMQ is away"),
        (HEALTHY, seen(blocked=True), "blocked by a memory or disk alarm"),
        (
            HEALTHY,
            seen(down_queues={"task_queue": "home node 'rabbit@b' of durable queue"}),
            "start that node, or use quorum queues",
        ),
        (HEALTHY, seen(missing_queues=("task_queue",)), "task_queue is missing"),
        (changed(processes=(UNKEPT,)), seen(), "RabbitMQ: it keeps no hints for task_queue"),
        (changed(workers=(), depth=DUE), seen(), "no worker is running"),
        (changed(workers=(LATE,), depth=DUE), seen(), "no worker is running"),
        (changed(workers=(), depth=MORE), seen(), "no worker is running"),
        (changed(workers=(DRAINING,), depth=DUE), seen(), "all workers are draining"),
        (changed(workers=(WORKER, LATE)), seen(), "worker default/1 on node has sent no heartbeat for 40 s"),
        (changed(processes=()), seen(), "no keeper is running"),
        (
            changed(depth=waiting(3, 50.0)),
            seen(quiet_seconds=40.0),
            "no worker has claimed a task for 40 s, and 3 are pending",
        ),
        (
            changed(depth=waiting(3, 20.0)),
            seen(quiet_seconds=400.0),
            "no worker has claimed a task for 20 s, and 3 are pending",
        ),
        (
            changed(depth=waiting(3, 90.0), workers=(BUSY,)),
            seen(quiet_seconds=90.0),
            "a task has been due for 90 s: all workers are busy",
        ),
        (
            changed(processes=(GIVEN_UP,)),
            seen(),
            "a/0, a/1 on node are given up, because their children ended before they were ready: no memory; "
            "dtqs ctl reload tries again",
        ),
        (HEALTHY, seen(read_only=True), "PostgreSQL is read-only"),
        (HEALTHY, seen(refusal="ACCESS_REFUSED"), "RabbitMQ refuses messages: ACCESS_REFUSED"),
        (
            changed(depth=waiting(3, 1.0), workers=(KNOWS,)),
            seen(),
            "no worker runs the task type echo (3 tasks pending)",
        ),
    ],
)
def test_each_problem_raises_its_alarm(reading: Reading, known: Seen, words: str) -> None:
    assert any(words in alarm for alarm in alarms(reading, known)), alarms(reading, known)


def test_seats_of_a_node_without_a_keeper_are_forgotten_and_two_keepers_tell_them_once() -> None:
    gone = dataclasses.replace(GIVEN_UP, age_seconds=31.0)
    assert not any("given up" in alarm for alarm in alarms(changed(processes=(gone,)), seen()))
    assert len(alarms(changed(processes=(GIVEN_UP, dataclasses.replace(GIVEN_UP, process_id="k2"))), seen())) == 1


def test_a_queue_whose_name_is_a_part_of_a_down_queue_has_an_alarm_of_its_own() -> None:
    keeper = dataclasses.replace(UNKEPT, unkept=("movies", "movies_long"))
    known = seen(down_queues={"movies_long": "home node of durable queue 'movies_long' is down"})
    told = [alarm.partition(":")[2] for alarm in alarms(changed(processes=(keeper,)), known)]
    assert [("keeps no hints for movies;" in words, "'movies_long' is down" in words) for words in told] == [
        (False, True),
        (True, False),
    ]


def test_a_short_wait_is_no_alarm() -> None:
    assert alarms(changed(depth=waiting(1000, 3.0)), seen(quiet_seconds=5.0)) == ()


def test_tasks_that_arrive_after_an_idle_time_are_no_alarm() -> None:
    assert alarms(changed(depth=waiting(60, 0.5)), seen(quiet_seconds=130.0)) == ()


def test_busy_workers_that_claim_nothing_are_no_alarm_at_once() -> None:
    assert alarms(changed(depth=waiting(2, 30.0), workers=(BUSY,)), seen(quiet_seconds=30.0)) == ()


def test_an_unreachable_server_is_named_first() -> None:
    known = seen(database=AWAY, missing_queues=("task_queue",))
    assert alarms(changed(workers=(), processes=()), known)[0].startswith("PostgreSQL")


@pytest.mark.parametrize(
    "workers", [(KNOWS, WORKER), (KNOWS, dataclasses.replace(WORKER, task_types=("echo",))), (WORKER,)]
)
def test_a_type_without_a_worker_is_reported_only_if_every_worker_has_named_its_types(
    workers: tuple[WorkerReading, ...],
) -> None:
    assert alarms(changed(depth=waiting(3, 1.0), workers=workers), seen()) == ()


@pytest.mark.parametrize(
    ("taken", "consumers", "is_alarm"),
    [(("task_queue",), 0, True), (("movies",), 0, False), (None, 0, False), ((), 1, False)],
)
def test_a_queue_with_messages_that_no_worker_takes_is_named(
    taken: tuple[str, ...] | None, consumers: int, is_alarm: bool
) -> None:
    workers = (dataclasses.replace(WORKER, queues=taken),)
    queues = (QueueReading("task_queue", 0, 1), QueueReading("movies", 3, consumers))
    found = alarms(changed(workers=workers, queues=queues), seen())
    told = [alarm for alarm in found if "no worker takes from" in alarm]
    words = "no worker takes from movies (3 messages): give a [pool:NAME] this queue, or change [routes]"
    assert told == [words] * is_alarm


def late(node: str, count: int, pool: str = "default") -> tuple[WorkerReading, ...]:
    return tuple(
        dataclasses.replace(
            LATE, worker_id=f"{node}{slot}", node_name=node, pool=pool, slot=slot, age_seconds=20.0 + slot
        )
        for slot in range(count)
    )


def test_late_workers_of_a_pool_share_one_alarm() -> None:
    assert alarms(changed(workers=(*late("a", 40), *late("b", 1), WORKER)), seen()) == (
        "40 workers of pool default on a have sent no heartbeat, the longest for 59 s",
        "worker default/0 on b has sent no heartbeat for 20 s",
    )


def test_late_workers_of_many_nodes_share_one_alarm() -> None:
    """PostgreSQL was away for 20 s: its 300 workers made 300 alarms."""
    workers = tuple(worker for node in range(100) for worker in late(f"node{node}", 3))
    assert alarms(changed(workers=(*workers, WORKER)), seen()) == (
        "300 of 301 workers have sent no heartbeat, the longest for 22 s: "
        "pool default on node0, default on node1, default on node2 and 97 more",
    )


def test_late_and_ready_workers_beyond_the_list_of_a_reading_count() -> None:
    """The list has the newest 500; here it has one, and PostgreSQL has counted the others."""
    everybody = (*late("a", 2), *[dataclasses.replace(BUSY, worker_id=f"b{n}") for n in range(600)], WORKER)
    reading = changed(workers=everybody, depth=waiting(3, 90.0))
    cut = dataclasses.replace(reading, workers=(BUSY,), more_workers=len(everybody) - 1)
    assert alarms(cut, seen()) == (
        "2 workers of pool default on a have sent no heartbeat, the longest for 21 s",
        "a task has been due for 90 s",
    )
    old = dataclasses.replace(BUSY, age_seconds=40.0)
    lost = dataclasses.replace(reading, workers=(old,), more_workers=len(everybody) - 1)
    assert not any("no worker is running" in alarm for alarm in alarms(lost, seen()))


def test_several_queues_and_types_share_one_alarm_each() -> None:
    types = tuple((f"type{number}", 2) for number in range(5))
    depth = dataclasses.replace(waiting(10, 1.0), by_type=types)
    worker = dataclasses.replace(KNOWS, queues=())
    queues = tuple(QueueReading(f"queue{number}", 3, 0) for number in range(4))
    known = seen(missing_queues=("q1", "q2", "q3", "q4"), down_queues={"d1": "node b is down", "d2": "node b is down"})
    keeper = dataclasses.replace(UNKEPT, unkept=("u1", "u2"))
    found = alarms(changed(depth=depth, workers=(worker,), queues=queues, processes=(keeper,)), known)
    assert found == (
        "RabbitMQ: 2 queues are down (d1, d2), for example: node b is down: their tasks wait; "
        "start the nodes that are down, or use quorum queues",
        "4 queues are missing in RabbitMQ (q1, q2, q3 and 1 more): start a worker or keeper, which declares them",
        "RabbitMQ: it keeps no hints for u1, u2; a quorum queue needs most of its nodes: their tasks wait; "
        "start the nodes that are down",
        "no worker runs the 5 task types type0, type1, type2 and 2 more (10 tasks pending): "
        "install them, or let a [pool:NAME] take them, and restart the workers",
        "no worker takes from 4 queues: queue0, queue1, queue2 and 1 more (12 messages): "
        "give a [pool:NAME] these queues, or change [routes]",
    )


def test_slots_given_up_on_many_nodes_share_one_alarm() -> None:
    keepers = tuple(
        dataclasses.replace(GIVEN_UP, process_id=f"k{number}", node_name=f"node{number}") for number in range(50)
    )
    assert alarms(changed(processes=keepers), seen()) == (
        "100 slots on 50 nodes (node0, node1, node2 and 47 more) are given up, because their children "
        "ended before they were ready, for example: no memory; dtqs ctl reload on each node tries again",
    )
