"""POST /submit that follows its tasks in one request: as a stream, or until their outcomes."""

import socket
from dataclasses import asdict
from functools import partial
from typing import Any

import httpx
import orjson
import pika
import psycopg
import pytest

from dtqs.api.tasks.records import record
from dtqs.broker.topology import EVENTS
from dtqs.client import Client
from dtqs.client import client as client_module
from dtqs.event import decode_events, encode_events
from dtqs.event_seal import KEY_BYTES, EventSeal, key_of
from dtqs.task import TaskRecord
from tests.support.fix_api import NewKey, Received, open_store, parse, watch
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

STREAM, WAIT = {"Accept": "text/event-stream"}, {"Prefer": "wait=20"}


def echo(**fields: Any) -> dict[str, Any]:
    return {"task_type": "echo", "payload": fields.pop("payload", {}), **fields}


def streamed(client: httpx.Client, body: object, **headers: str) -> tuple[httpx.Response, list[Received], Any]:
    """Submit and read the stream to its end. Return its answer, its later events, and the data of the first one."""
    answer = client.post("/submit", json=body, headers={**STREAM, **headers})
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    first = answer.text.split("\n\n")[1]
    assert first.startswith("event: accepted\ndata: ")
    return answer, parse(answer.text.replace(first + "\n\n", "")), orjson.loads(first.partition("data: ")[2])


def test_a_submit_is_answered_with_the_stream_of_its_task(shared: System) -> None:
    answer, events, accepted = streamed(shared.client, echo(payload={"steps": 2}))
    assert (answer.status_code, answer.headers["location"]) == (200, f"/tasks/{accepted['task_id']}")
    assert accepted.keys() == shared.client.post("/submit", json=echo()).json().keys()
    assert [one.event for one in events] == ["status", "status", "progress", "progress", "completed"]
    assert events[-1].data == shared.task(accepted["task_id"])
    rest = shared.client.get(f"/sse?task_id={accepted['task_id']}", headers={"Last-Event-ID": events[1].id})
    assert [one.data for one in parse(rest.text)] == [one.data for one in events[2:]]


def test_an_array_is_answered_with_the_stream_of_its_tasks(shared: System) -> None:
    _, events, accepted = streamed(shared.client, [echo() for _ in range(100)])
    ids = [one["task_id"] for one in accepted]
    assert len(set(ids)) == 100
    assert sorted(one.data["task_id"] for one in events if one.event == "completed") == ids
    assert {one.data["task_id"] for one in events if one.event == "status"} == set(ids)


def test_a_submit_that_waits_is_answered_with_the_task(shared: System) -> None:
    answer = shared.client.post("/submit", json=echo(payload={"a": 1}), headers=WAIT)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=20")
    assert answer.json()["result"]
    assert answer.json() == shared.task(answer.json()["task_id"])
    assert answer.headers["location"] == f"/tasks/{answer.json()['task_id']}"
    assert "close" not in answer.headers["connection"]
    failed = shared.client.post("/submit", json=echo(payload={"fail": "permanent"}), headers=WAIT)
    assert (failed.status_code, failed.json()["status"]) == (200, "failed")
    many = shared.client.post("/submit", json=[echo(payload={"n": n}) for n in range(20)], headers=WAIT)
    assert [one["payload"]["n"] for one in many.json()] == list(range(20))


def test_a_wait_that_is_over_is_answered_with_the_id(shared: System) -> None:
    answer = shared.client.post("/submit", json=echo(delay_seconds=600), headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
    assert answer.json().keys() == {"task_id", "status", "links"}
    assert shared.task(answer.json()["task_id"])["status"] == "pending"


@pytest.mark.parametrize("headers", [STREAM, WAIT], ids=["stream", "wait"])
def test_a_repeated_submit_follows_the_first_task(shared: System, headers: dict[str, str]) -> None:
    key = {"Idempotency-Key": f"follow-{headers}".replace(" ", "")}
    first = shared.client.post("/submit", json=echo(), headers=key).json()["task_id"]
    answer = shared.client.post("/submit", json=echo(), headers={**headers, **key})
    assert answer.status_code == 200
    if headers is WAIT:
        assert (answer.json()["task_id"], answer.json()["status"]) == (first, "completed")
    else:
        assert [one.event for one in parse(answer.text.partition("\n\n")[2].partition("\n\n")[2])][-1] == "completed"


def test_a_key_that_may_only_submit_may_follow_its_own_submit(
    shared: System, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = new_key("only submits", "submit")
    answer = client.post("/submit", json=echo(), headers=WAIT)
    assert answer.json()["status"] == "completed"
    assert client.get(f"/tasks/{answer.json()['task_id']}").status_code == 403
    monkeypatch.setattr(client_module, "PREFER_SECONDS", 0)  # so the outcome comes by a second request, with the ticket
    with Client(shared.url, client.headers["Authorization"].removeprefix("Bearer ")) as one:
        assert one.submit_and_wait("echo", wait_seconds=20).status == "completed"


def test_too_many_tasks_are_refused_for_a_stream_and_not_waited_for(shared: System) -> None:
    body = [echo(tags=["too-many"]) for _ in range(101)]
    refused = shared.client.post("/submit", json=body, headers=STREAM)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body")
    assert shared.client.get("/tasks?tag=too-many").json()["tasks"] == []
    ignored = shared.client.post("/submit", json=body, headers=WAIT)
    assert (ignored.status_code, ignored.headers.get("preference-applied")) == (202, None)


def test_a_refused_submit_is_answered_as_without_a_stream(shared: System) -> None:
    for headers in (STREAM, WAIT):
        refused = shared.client.post("/submit", json=echo(priority=99), headers=headers)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


def test_a_client_that_leaves_frees_its_place(system: Factory) -> None:
    one = system({"api": {"max_streams": 1}}, supervisor=False)
    port = int(one.url.rpartition(":")[2])
    body = orjson.dumps(echo(delay_seconds=600))
    head = f"POST /submit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.key}\r\nContent-Length: {len(body)}\r\n"
    for field in ("Prefer: wait=50", "Accept: text/event-stream"):
        stored = _tasks(one)
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(f"{head}{field}\r\n\r\n".encode() + body)
            eventually(partial(_has_tasks, one, stored + 1), 10, "the task is stored: its client has the place")
            assert not _has_room(one)
        eventually(lambda: _has_room(one), 5, "its place is free again")


def _tasks(system: System) -> int:
    return int(system.rows("SELECT count(*) FROM tasks")[0][0])


def _has_tasks(system: System, count: int) -> bool:
    return _tasks(system) >= count


def _has_room(system: System) -> bool:
    answer = system.client.post("/submit", json=echo(delay_seconds=600), headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    return "preference-applied" in answer.headers


def key_of_events(system: System) -> EventSeal:
    """Return the seal with the key that the processes of this system share."""
    query = "SELECT value FROM settings WHERE name = 'event_key'"
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        row = eventually(lambda: connection.execute(query).fetchone(), 10, "a worker makes the key")
    assert row
    seal = EventSeal()
    seal.learn(key_of(row[0]))
    assert seal.has_key
    return seal


def test_the_event_of_a_small_task_carries_its_outcome(shared: System) -> None:
    with pika.BlockingConnection(pika.URLParameters(shared.amqp_url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, EVENTS)

        def carried() -> TaskRecord | None:
            """Let a task end, and return the outcome in its event. A new worker learns the key in a moment."""
            task_id = shared.client.post("/submit", json=echo(payload={"a": 1}), headers=WAIT).json()["task_id"]
            for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
                assert body is not None, "no event of the end"
                for event in decode_events(body, {task_id}, key_of_events(shared).is_genuine):
                    if event.event == "completed":
                        return event.outcome
            return None

        outcome = eventually(carried, 20, "an event carries an outcome")
    assert outcome
    assert orjson.loads(orjson.dumps(record(outcome))) == shared.task(outcome.task_id)


def publish(system: System, task_id: str, seal: EventSeal, result: str) -> None:
    """Publish an event that a worker could send for this task, with an outcome that its row does not have."""
    with open_store(system) as store:
        columns = asdict(store.reads.task(task_id)) | {"status": "completed", "result": result}
    text = orjson.dumps({"id": columns.pop("task_id"), **columns}).decode()
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        body = encode_events([(1, task_id, "completed"), seal.row([text])])
        connection.channel().basic_publish(EVENTS, "", body)


def test_a_stream_takes_an_outcome_only_with_a_genuine_signature(shared: System) -> None:
    """Anybody who may publish to RabbitMQ can send an event. The rows have no outcome, so only events can bring one."""
    probe, task_id = shared.submit(delay_seconds=600), shared.submit(delay_seconds=600)
    genuine, forged = key_of_events(shared), EventSeal()
    forged.learn(b"a guess".ljust(KEY_BYTES))
    streams = {one: watch(shared.client, [one]) for one in (probe, task_id)}
    for stream in streams.values():
        stream.wait_for("status")

    def is_told() -> bool:
        """A new API process learns the key at its first heartbeat."""
        publish(shared, probe, genuine, "from the event")
        return streams[probe].ended

    eventually(is_told, 20, "the stream ends")
    assert streams[probe].events[-1].data["result"] == "from the event"
    publish(shared, task_id, forged, "forged")
    shared.client.post(f"/tasks/{task_id}/cancel")
    assert streams[task_id].wait_end(5).names == ["status", "cancelled"]
    assert shared.task(probe)["status"] == "pending"
    shared.client.post(f"/tasks/{probe}/cancel")


def test_without_event_outcomes_the_broker_sees_no_payload(system: Factory) -> None:
    one = system({"rabbitmq": {"event_outcomes": "off"}})
    with pika.BlockingConnection(pika.URLParameters(one.amqp_url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, EVENTS)
        answer = one.client.post("/submit", json=echo(payload={"secret": "hidden"}), headers=WAIT)
        assert answer.json()["result"] == {"secret": "hidden"}
        for _, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=10):
            assert body is not None, "no event of the outcome"
            assert b"hidden" not in body
            if b"completed" in body:
                break
    with psycopg.connect(one.dsn, autocommit=True) as database:
        last = "SELECT max(heartbeat_at) FROM workers"
        for _ in range(2):
            seen = database.execute(last).fetchone()
            eventually(partial(lambda seen: database.execute(last).fetchone() != seen, seen), 10, "a heartbeat")
        assert database.execute("SELECT FROM settings WHERE name = 'event_key'").fetchone() is None
