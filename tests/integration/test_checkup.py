"""The doctor's check of a broker that refuses, is frozen or is stopped: it fails soon, with a message."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pika
import pytest

from dtqs.broker import checkup
from dtqs.broker.look_link import LookLink
from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import QUEUE, queue_arguments
from dtqs.cli.checks.postgresql import postgresql as check_postgresql
from dtqs.cli.checks.servers import rabbitmq as check_rabbitmq
from dtqs.config import Config, load
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.event import Hint, encode_hint
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from dtqs.store.workers import ProcessTotals
from dtqs.unkept import NAME, to_values
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World
from tests.support.helpers import eventually


def config(url: str) -> Config:
    return load(None, {"DTQS_RABBITMQ_URL": url})


def test_a_broker_that_refuses_or_is_frozen_is_a_failed_check(own_rabbitmq: PrivateRabbitmq) -> None:
    section = config(own_rabbitmq.url).rabbitmq
    with closing(LookLink(section, "test")) as allowed:
        assert allowed.look(Deadline(30)).refusal is None
    user = urlsplit(own_rabbitmq.url).username or ""
    own_rabbitmq.ctl("set_permissions", user, ".*", "^$", ".*")
    refused = next(iter(check_rabbitmq(config(own_rabbitmq.url))))
    assert (refused.part, refused.state) == ("RabbitMQ", "failed")
    assert "refuses messages: ACCESS_REFUSED" in refused.found
    assert "rabbitmqctl set_permissions" in refused.advice
    # Console and dashboard use this link. An older connection keeps its permission for a while.
    with closing(LookLink(section, "test")) as link:
        eventually(
            lambda: "ACCESS_REFUSED" in (link.look(Deadline(30)).refusal or ""), 20, "the link reports the refusal"
        )
    own_rabbitmq.freeze()
    began = time.monotonic()
    found = {check.part: check for check in check_rabbitmq(config(own_rabbitmq.url))}
    assert time.monotonic() - began < 10
    assert (found["RabbitMQ"].state, found["RabbitMQ"].found) == ("failed", "no answer within 5 s")
    assert found["queue"].state == "skipped"


def test_an_unreachable_broker_is_a_failed_check() -> None:
    (free,) = free_ports(1)
    found = {check.part: check for check in check_rabbitmq(config(f"amqp://dtqs:x@127.0.0.1:{free}/"))}
    assert found["RabbitMQ"].state == "failed"
    assert "refused" in found["RabbitMQ"].found


@contextmanager
def silent(server: PrivateRabbitmq, url: str) -> Iterator[None]:
    """Let the task queue answer nobody, as RabbitMQ 4 does for a classic queue whose node is down."""
    vhost = urlsplit(url).path[1:]
    pid = f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{QUEUE}">>))'
    server.ctl("eval", f"{pid}, ok = sys:suspend(amqqueue:get_pid(Q)).")
    try:
        yield
    finally:
        server.ctl("eval", f"{pid}, ok = sys:resume(amqqueue:get_pid(Q)).")


def test_a_queue_that_gives_no_answer_is_told_and_keeps_nobody_waiting(
    rabbitmq: PrivateRabbitmq, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues, section = (QUEUE, "movies"), config(amqp_url).rabbitmq
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for queue in queues:
            connection.channel().queue_declare(queue, durable=True, arguments={"x-max-priority": 10})
    with closing(LookLink(section, "test")) as link:
        assert link.look(Deadline(10), queues).down == {}
        with silent(rabbitmq, amqp_url):
            seen = link.look(Deadline(10), queues)
            assert (list(seen.down), seen.queues) == ([QUEUE], {QUEUE: None, "movies": QueueLook(0, 0)})
            assert "gives no answer" in seen.down[QUEUE]
            began = time.monotonic()
            assert link.look(Deadline(10), queues).down == seen.down
            assert time.monotonic() - began < 1, "it is asked once"
            found = {check.part: check for check in check_rabbitmq(config(amqp_url))}
            assert (found["RabbitMQ"].state, found["queue"].state) == ("ok", "failed")
            assert "start the nodes of the cluster" in found["queue"].advice
            monkeypatch.setattr(checkup, "_CALLS_SECONDS", 1.0)
            with pytest.raises(BrokerUnavailable, match="no answer within 1 s"):
                checkup.look_once(section, "test")
        eventually(lambda: link.look(Deadline(10), queues).down == {}, 10, "it serves again")


@pytest.mark.parametrize(("kind", "other"), [("classic", "quorum"), ("quorum", "classic")])
def test_a_queue_of_another_type_is_a_warning_and_stays_as_it_is(amqp_url: str, kind: str, other: str) -> None:
    def check(queue_type: str, queue: str) -> tuple[str, str]:
        told = load(
            None,
            {
                "DTQS_RABBITMQ_URL": amqp_url,
                "DTQS_RABBITMQ_QUEUE_TYPE": queue_type,
                "DTQS_ROUTES_VIDEO": "movies",
            },
        )
        (found,) = [check for check in check_rabbitmq(told) if check.part == queue]
        return found.state, found.found

    section = config(amqp_url).rabbitmq.model_copy(update={"queue_type": kind})
    with closing(LookLink(section, "test")) as link:
        arguments = queue_arguments(section, {"version": link.look(Deadline(30)).version})
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        channel.confirm_delivery()
        channel.basic_publish("", QUEUE, b"kept")
        state, words = check(other, "queue")
        assert (state, f"was not made with queue_type = {other}: inequivalent arg 'x-" in words) == ("warning", True)
        assert check(other, "queue movies") == ("failed", "movies is missing"), "the doctor makes no queue"
        assert check(kind, "queue")[0] == "ok"
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        _, _, body = channel.basic_get(QUEUE)
        assert body == b"kept"


def test_an_old_quorum_queue_is_emptied_and_stays(amqp_url: str) -> None:
    # RabbitMQ cannot delete it on the condition that it is empty, and ends the connection that asks
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("old", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        task_id = str(uuid7())
        channel.basic_publish("", "old", encode_hint("echo", False, [task_id]))
        hints: list[Hint] = []
        found = checkup.empty_queue(config(amqp_url).rabbitmq, "test", "old", 10, hints.extend)
        assert (found, [hint.task_ids for hint in hints]) == (checkup.Emptied(1, gone=False, stays=True), [[task_id]])
        again = checkup.empty_queue(config(amqp_url).rabbitmq, "test", "old", 10, hints.extend, may_delete=False)
        assert again == checkup.Emptied(0, gone=False)
        assert channel.queue_declare("old", passive=True).method.message_count == 0


def test_a_queue_that_keeps_no_hints_for_a_keeper_is_a_failed_check(world: World) -> None:
    told = load(None, {"DTQS_POSTGRESQL_DSN": world.section.dsn.get_secret_value()})

    def hints() -> list[tuple[str, str]]:
        return [(check.state, check.found) for check in check_postgresql(told, ()) if check.part == "hints"]

    keeper, totals = uuid7(), ProcessTotals()
    totals.tally.replace(NAME, to_values([QUEUE]))
    world.store.workers.count(keeper, "keeper", "node", totals)
    words = f"RabbitMQ: it keeps no hints for {QUEUE}; a quorum queue needs most of its nodes"
    assert hints() == [("failed", words)]
    totals.tally.replace(NAME, to_values([]))
    world.store.workers.count(keeper, "keeper", "node", totals)
    assert hints() == []
