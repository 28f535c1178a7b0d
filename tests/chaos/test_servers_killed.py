"""RabbitMQ and PostgreSQL killed, frozen and in an alarm, under load: no task is lost or doubled."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dtqs.broker.checkup import look_once
from dtqs.broker.keeper_link import KeeperLink
from dtqs.broker.queue import QueueLook
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.sandbox.postgres import PrivatePostgres
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from dtqs.task import Due
from dtqs.uuid7 import uuid7
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

# A restart on a busy machine may outlast a trial's lease. Another test covers stalls longer than the lease.
PATIENT = {"lease": {"lease_seconds": 30}}


def restart(server: PrivatePostgres | PrivateRabbitmq) -> None:
    server.kill()
    server.start()
    server.wait_ready(Deadline(60))


def completed(system: Trial) -> int:
    return int(system.rows("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL")[0][0])


def wait_for_outcomes(system: Trial, tasks: int = 100, seconds: float = 10) -> None:
    at = completed(system)
    eventually(lambda: completed(system) >= at + tasks, seconds, "more tasks have an outcome")


def load(system: Trial) -> None:
    """Submit 850 tasks, light and heavy ones, some of which fail at first."""
    system.put({"a": 1}, 600)
    system.put({"sleep_seconds": 0.01}, 200, light=False)
    system.put({"fail_times": 1}, 50, light=False)


def test_rabbitmq_killed_twice_under_load_loses_and_doubles_no_task(
    trial: Try, mortal_rabbitmq: PrivateRabbitmq, mortal_amqp_url: str
) -> None:
    system = trial(PATIENT, amqp_url=mortal_amqp_url, api=True)
    for _ in range(2):
        load(system)
        system.submit_many(200, {"over": "HTTP"})
        wait_for_outcomes(system)
        mortal_rabbitmq.kill()
        # accepted without a broker
        system.submit_many(100, {"while": "away"})
        restart(mortal_rabbitmq)
    assert system.done(40) == {"completed": 2 * 1150}
    # the broker's death spends no attempt
    assert system.spent() == {1: 2 * 1100, 2: 100}


def test_postgresql_killed_twice_under_load_loses_and_doubles_no_task(
    trial: Try, mortal_postgres: PrivatePostgres, mortal_dsn: str
) -> None:
    system = trial(PATIENT, dsn=mortal_dsn)
    pids = {worker.pid for worker in system.workers()}
    for _ in range(2):
        load(system)
        wait_for_outcomes(system)
        restart(mortal_postgres)
    assert system.done(30) == {"completed": 2 * 850}
    assert system.spent() == {1: 2 * 800, 2: 100}, "the restart spends no attempt"
    assert {worker.pid for worker in system.workers()} == pids, "the workers survive the restart"


def test_postgresql_frozen_for_longer_than_the_lease_ends_no_worker_and_spends_no_attempt(
    trial: Try, mortal_postgres: PrivatePostgres, mortal_dsn: str
) -> None:
    system = trial({"postgresql": {"statement_timeout_seconds": 1}}, dsn=mortal_dsn)
    workers = {worker.worker_id for worker in system.workers()}
    long = system.put_one({"sleep_seconds": 4})
    system.running(long)
    system.put({"sleep_seconds": 0.01}, 300, light=False)
    system.put({"a": 1}, 1000)
    # also longer than the 3 s that clients wait for a reply
    with frozen(mortal_postgres, 5.0):
        pass
    thawed_at = time.monotonic()
    wait_for_outcomes(system, 1, 4)
    assert system.done() == {"completed": 1301}
    assert time.monotonic() - thawed_at < 15
    assert system.spent() == {1: 1301}
    assert {worker.worker_id for worker in system.workers()} == workers
    assert system.rows("SELECT id FROM workers WHERE dead_at IS NOT NULL") == []


def test_rabbitmq_frozen_for_five_seconds_only_delays_tasks(
    trial: Try, mortal_rabbitmq: PrivateRabbitmq, mortal_amqp_url: str
) -> None:
    system = trial(amqp_url=mortal_amqp_url, api=True)
    long = system.put_one({"sleep_seconds": 2})
    system.running(long)
    with frozen(mortal_rabbitmq, 5.0):
        system.submit_many(300)
    system.submit_many(300)
    assert system.done() == {"completed": 601}
    assert system.spent() == {1: 601}


def test_a_memory_alarm_delays_new_tasks_and_does_not_stop_delivered_ones(
    trial: Try, mortal_rabbitmq: PrivateRabbitmq, mortal_amqp_url: str
) -> None:
    system = trial({"pool:default": {"workers": 1}}, amqp_url=mortal_amqp_url, api=True)
    busy = system.put_one({"sleep_seconds": 4})
    system.running(busy)
    before = system.submit_many(30, {"before": True})
    delayed = system.submit_many(20, {"sleep_seconds": 0.01})
    eventually(lambda: queue_length(system) >= 21, 10, "the hints are in the queue")
    # The link closes after the alarm: during an alarm the broker does not read the close.
    with publishing(system) as link:
        mortal_rabbitmq.ctl("set_vm_memory_high_watermark", "0.0001")
        try:
            # During an alarm the broker delivers and takes acks, and reads from no publisher.
            assert set(system.outcomes([busy, *before, *delayed])) == {"completed"}
            asked_at = time.monotonic()
            during = system.submit_many(300, {"during": True}) + [system.submit() for _ in range(10)]
            assert time.monotonic() - asked_at < 5, "submits do not wait for the broker"
            assert published_within(link, 60) < 15, "an alarm delays confirms, and a keeper does not wait for them"
        finally:
            mortal_rabbitmq.ctl("set_vm_memory_high_watermark", "0.6")
    assert set(system.outcomes(during)) == {"completed"}
    assert system.done() == {"completed": 361}
    assert system.spent() == {1: 361}


@contextmanager
def publishing(system: Trial) -> Iterator[KeeperLink]:
    link = KeeperLink(system.config.rabbitmq, "trial", lambda *_: None)
    link.start()
    try:
        yield link
        eventually(lambda: link.can_publish, 10, "the alarm is over")
    finally:
        link.stop(Deadline(10))


def published_within(link: KeeperLink, seconds: float) -> float:
    """Publish a hint as a keeper does, with `seconds` to wait for its confirm; return the seconds that it took."""
    eventually(lambda: link.can_publish, 10)
    began = time.monotonic()
    link.publish_hints([Due(uuid7(), "echo", True, 5, "")], Deadline(seconds))
    return time.monotonic() - began


def queue_length(system: Trial) -> int:
    try:
        look = look_once(system.config.rabbitmq, "trial")
    except BrokerUnavailable:
        return 0
    return look.ready if isinstance(look, QueueLook) else 0


def test_restarts_of_both_servers_lose_no_accepted_submit_and_no_attempt_of_a_long_task(
    trial: Try,
    mortal_postgres: PrivatePostgres,
    mortal_dsn: str,
    mortal_rabbitmq: PrivateRabbitmq,
    mortal_amqp_url: str,
) -> None:
    system = trial(dsn=mortal_dsn, amqp_url=mortal_amqp_url, api=True)
    accepted: list[str] = []
    end = threading.Event()

    def submit() -> None:
        # each thread leaves time to the others and to the servers that start
        while not end.wait(0.02):
            response = system.client.post("/submit", json={"task_type": "echo", "payload": {}})
            if response.status_code == 202:
                accepted.append(response.json()["task_id"])
            else:
                assert response.status_code == 503, response.text

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(accepted) > 100, 10)
        long = [system.put_one({"sleep_seconds": 8, "steps": 8}) for _ in range(2)]
        for task_id in long:
            system.running(task_id)
        mortal_rabbitmq.kill()
        restart(mortal_postgres)
        at = len(accepted)
        eventually(lambda: len(accepted) > at + 100, 15, "submits are accepted again")
        restart(mortal_rabbitmq)
    finally:
        end.set()
        for thread in threads:
            thread.join(20)
    assert len(set(accepted)) == len(accepted)
    assert set(system.outcomes([*long, *accepted], 30)) == {"completed"}
    assert [system.attempts(task_id) for task_id in long] == [1, 1]
    system.done()


@contextmanager
def frozen(server: PrivatePostgres | PrivateRabbitmq, seconds: float) -> Iterator[None]:
    """Halt the server for the time given, or until the end of the block if that comes later."""
    server.freeze()
    try:
        until = time.monotonic() + seconds
        yield
        threading.Event().wait(max(0.0, until - time.monotonic()))
    finally:
        server.thaw()
