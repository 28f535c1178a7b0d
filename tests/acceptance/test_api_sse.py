"""GET /sse: every event of each task once, resumed without loss or repeat, and ended by the server when it must."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from dtqs import health
from dtqs.sandbox.postgres import PrivatePostgres
from tests.support.fix_api import Reader, open_store, parse, watch
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

OUTCOMES = ("completed", "failed", "cancelled")


def connections(system: System) -> int:
    """Count the connections that the API's processes hold open on its port."""
    port = int(system.url.rpartition(":")[2])
    with open("/proc/net/tcp", encoding="ascii") as table:
        return sum(1 for line in table if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01")


def test_a_stream_has_status_progress_and_one_outcome(shared: System) -> None:
    stream = watch(shared.client, [shared.submit({"steps": 3, "sleep_seconds": 0.6})]).wait_end()
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["connection"] == "close"
    assert stream.text.startswith("retry: 1000\n\n")
    assert stream.names[0] == "status"
    assert stream.names.count("progress") == 3
    assert [name for name in stream.names if name in OUTCOMES] == ["completed"]
    assert stream.names[-1] == "completed"
    assert [one.data["fraction"] for one in stream.events if one.event == "progress"] == pytest.approx(
        [1 / 3, 2 / 3, 1]
    )
    assert stream.events[-1].data == shared.task(stream.events[-1].data["task_id"])


@pytest.mark.parametrize("fail", ["permanent", "transient"])
def test_a_failed_event_has_the_number_of_attempts(shared: System, fail: str) -> None:
    stream = watch(shared.client, [shared.submit({"fail": fail, "steps": 1}, max_retries=1)]).wait_end()
    assert stream.events[-1].event == "failed"
    assert stream.events[-1].data["attempt"] == (1 if fail == "permanent" else 2)


def test_a_stream_that_begins_after_the_end_shows_the_last_attempt(shared: System) -> None:
    task_id = shared.submit({"steps": 2, "fail_times": 1})
    shared.wait_for(task_id)
    assert watch(shared.client, [task_id]).wait_end().names == ["status", "progress", "progress", "completed"]


def test_many_tasks_share_a_stream_and_each_ends_once(shared: System) -> None:
    ids = shared.submit_many(100, {"n": 1})
    stream = watch(shared.client, ids).wait_end()
    assert sorted(one.data["task_id"] for one in stream.events if one.event == "completed") == sorted(ids)
    assert {one.data["task_id"] for one in stream.events if one.event == "status"} == set(ids)


def test_a_stream_resumes_after_each_of_its_events_without_loss_or_repeat(shared: System) -> None:
    ids = [
        shared.submit({"steps": 2, "fail_times": 1}),
        shared.submit({"steps": 3}),
        shared.submit({"fail": "permanent"}),
    ]
    whole = watch(shared.client, ids).wait_end().events
    # before the third event, a resumed stream sends the present status of tasks that have had no status event
    for index, event in list(enumerate(whole[:-1]))[2:]:
        rest = watch(shared.client, ids, event.id).wait_end()
        assert sorted((one.event, one.data["task_id"], str(one.data)) for one in rest.events) == sorted(
            (one.event, one.data["task_id"], str(one.data)) for one in whole[index + 1 :]
        ), f"after event {index}"
    assert watch(shared.client, ids, whole[-1].id).wait_end().status == 204


def test_a_stream_that_is_cut_after_each_event_misses_and_repeats_none(shared: System) -> None:
    task_id = shared.submit({"steps": 40, "sleep_seconds": 2})
    seen, last_id = [], ""
    while True:
        with shared.client.stream(
            "GET", f"/sse?task_id={task_id}", headers={"Last-Event-ID": last_id} if last_id else {}
        ) as response:
            if response.status_code == 204:
                break
            text = ""
            for piece in response.iter_text():
                text += piece
                if parse(text):
                    break
            got = parse(text)
            seen += got
            last_id = got[-1].id if got else last_id
    assert [one.data["fraction"] for one in seen if one.event == "progress"] == pytest.approx(
        [step / 40 for step in range(1, 41)]
    )
    assert [one.event for one in seen if one.event in OUTCOMES] == ["completed"]


def test_the_last_event_id_may_be_in_the_url_and_the_list_may_change(shared: System) -> None:
    first, second = shared.submit({"n": 1}), shared.submit({"n": 2})
    end = watch(shared.client, [first]).wait_end().events[-1].id
    assert Reader(shared.client, f"/sse?task_id={first}&last_event_id={end}").wait_end().status == 204
    both = watch(shared.client, [second, first], end).wait_end()
    assert {one.data["task_id"] for one in both.events} == {second}


@pytest.mark.parametrize("junk", ["x", "AAAA", "AQ", "\u00e9", "A" * 5000, "AcF1btepIP_______________w"])
def test_an_invalid_last_event_id_starts_the_stream_anew(shared: System, junk: str) -> None:
    task_id = shared.submit()
    shared.wait_for(task_id)
    url = f"/sse?task_id={task_id}&last_event_id={junk}"
    assert Reader(shared.client, url).wait_end().names == ["status", "completed"]


def test_a_request_for_an_impossible_stream_is_refused(shared: System) -> None:
    task_id = shared.submit()
    missing = "0192f3a0-0000-7000-8000-000000000000"
    assert shared.client.get(f"/sse?task_id={task_id}&task_id={missing}").status_code == 404
    assert shared.client.get("/sse").status_code == 422
    assert shared.client.get("/sse?" + "&".join(["task_id=" + task_id] * 101)).status_code == 422


def test_a_quiet_stream_has_heartbeats(system: Factory) -> None:
    one = system({"api": {"sse_heartbeat_seconds": 0.2}}, supervisor=False)
    stream = watch(one.client, [one.submit(delay_seconds=600)])
    eventually(lambda: stream.text.count(": heartbeat\n\n") >= 3)
    assert stream.names == ["status"]


def test_a_long_history_is_left_out_at_first_and_resumed_completely(shared: System) -> None:
    task_id = shared.submit({"steps": 600, "sleep_seconds": 1.0})
    early = watch(shared.client, [task_id])
    early.wait_for("progress")
    shared.wait_for(task_id, timeout=60)
    late = watch(shared.client, [task_id]).wait_end()
    assert late.names == ["status", "completed"]
    whole = early.wait_end(30)
    resumed = watch(shared.client, [task_id], next(one.id for one in whole.events if one.event == "progress")).wait_end(
        30
    )
    assert [one.data for one in resumed.events if one.event == "progress"] == [
        one.data for one in whole.events if one.event == "progress"
    ][1:]
    assert resumed.names.count("progress") == 599
    assert resumed.names[-1] == "completed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_shutdown_and_reload_end_streams_at_once_and_no_event_is_missed(
    system: Factory, number: signal.Signals
) -> None:
    one = system({"api": {"shutdown_seconds": 20}})
    # a reload first starts a new process, which takes seconds on a busy machine
    task_id = one.submit({"steps": 30, "sleep_seconds": 3 if number == signal.SIGTERM else 20})
    stream = watch(one.client, [task_id])
    stream.wait_for("progress")
    assert one.api
    one.api.send_signal(number)
    began = time.monotonic()
    stream.wait_end(20)
    assert number == signal.SIGHUP or time.monotonic() - began < 2
    assert stream.text.endswith("retry: 1000\n\n")
    if number == signal.SIGTERM:
        assert one.api.wait(10) == 0
        one.start_api()
    rest = eventually(lambda: _followed(one, task_id, stream.events[-1].id), 30, "the stream can be resumed")
    assert rest
    fractions = [event.data["fraction"] for event in stream.events + rest.events if event.event == "progress"]
    assert fractions == pytest.approx([step / 30 for step in range(1, 31)])
    assert rest.names[-1] == "completed"


def _followed(system: System, task_id: str, last_id: str) -> Reader | None:
    """Follow the task to its end; return None if the connection is refused or ends before the outcome."""
    reader = watch(system.client, [task_id], last_id).wait_end(30)
    return reader if reader.names[-1:] == ["completed"] else None


def test_a_client_that_leaves_is_noticed_at_once(shared: System) -> None:
    task_id = shared.submit(delay_seconds=600)
    before = connections(shared)
    port = int(shared.url.rpartition(":")[2])
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for line in lines:
        line.sendall(
            f"GET /sse?task_id={task_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shared.key}\r\n\r\n".encode()
        )
    for line in lines:
        assert b"event: status" in _until(line, b"event: status")
    assert connections(shared) >= 20
    for line in lines:
        line.close()
    # well before a heartbeat would notice it
    eventually(lambda: connections(shared) <= before, 3, "the streams have ended")


def _until(line: socket.socket, wanted: bytes) -> bytes:
    line.settimeout(10)
    got = b""
    while wanted not in got:
        got += line.recv(65536)
    return got


def test_a_stream_above_the_limit_ends_with_a_retry_interval(system: Factory) -> None:
    one = system({"api": {"max_streams": 1}}, supervisor=False)
    task_id = one.submit(delay_seconds=600)
    first = watch(one.client, [task_id])
    first.wait_for("status")
    second = watch(one.client, [task_id]).wait_end(5)
    assert (second.status, second.text) == (200, "retry: 1000\n\n")
    assert not first.ended


@pytest.fixture(scope="module")
def without_events(tmp_path_factory: pytest.TempPathFactory, new_dsn: Callable[[], str]) -> Iterator[System]:
    """An API that receives no events from the broker."""
    one = System(
        tmp_path_factory.mktemp("without_events") / "system", new_dsn(), "amqp://nobody:nothing@127.0.0.1:1/%2F", {}
    )
    try:
        one.start_api()
        yield one
    finally:
        one.stop()


def test_a_lost_event_only_delays_a_stream(without_events: System) -> None:
    task_id = without_events.submit(delay_seconds=600)
    stream = watch(without_events.client, [task_id])
    stream.wait_for("status")
    with open_store(without_events) as store:
        store.tasks.cancel([task_id])  # publishes no event
    assert stream.wait_end(5).names == ["status", "cancelled"]


def test_an_outcome_without_a_log_row_ends_the_stream(without_events: System) -> None:
    task_id = without_events.submit(delay_seconds=600)
    stream = watch(without_events.client, [task_id])
    stream.wait_for("status")
    with psycopg.connect(without_events.dsn, autocommit=True) as connection, connection.transaction():
        connection.execute("DELETE FROM backlog WHERE task_id = %s", [task_id])
        connection.execute("UPDATE tasks SET outcome = 'cancelled', finished_at = now() WHERE id = %s", [task_id])
    assert stream.wait_end(5).names == ["status", "cancelled"]


def test_streams_survive_an_outage_of_the_database(system: Factory, own_postgres: PrivatePostgres) -> None:
    one = system({"postgresql": {"statement_timeout_seconds": 2, "connect_timeout_seconds": 1}}, dsn=own_postgres.dsn)
    task_id = one.submit({"sleep_seconds": 4, "steps": 4})
    stream = watch(one.client, [task_id])
    stream.wait_for("progress")
    own_postgres.kill()
    new = watch(one.client, [task_id]).wait_end(10)
    assert (new.status, new.text) == (200, "retry: 1000\n\n")
    refused = one.client.post("/submit", json={"task_type": "echo", "payload": {}})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert one.client.get("/readyz").status_code == 503
    assert one.client.get("/healthz").status_code == 200
    own_postgres.start()
    assert stream.wait_end(40).names[-1] == "completed"
    assert eventually(lambda: one.client.get("/readyz").status_code == 200, 20)
    own_postgres.freeze()
    sentence = eventually(
        lambda: "" if (found := health.check("api", False, str(one.config_path)))[0] else found[1],
        10,
        "an answer from before is used for a moment",
    )
    assert sentence.startswith("not ready: the API answers /readyz with 503:"), sentence
    assert '"postgresql":{"state":"away"}' in sentence.replace(" ", "")
    assert health.check("api", True, str(one.config_path))[0]
    own_postgres.thaw()


def test_a_client_that_reads_slowly_gets_every_event(shared: System) -> None:
    ids = shared.submit_many(100, {"text": "x" * 20_000})
    shared.wait_for(ids[-1], timeout=60)
    query = "&".join(f"task_id={task_id}" for task_id in ids)
    port = int(shared.url.rpartition(":")[2])
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(20)
        line.connect(("127.0.0.1", port))
        line.sendall(f"GET /sse?{query} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {shared.key}\r\n\r\n".encode())
        got = bytearray()
        while piece := line.recv(4096):
            got += piece
    assert got.count(b"event: completed") == 100


def test_a_stream_resumes_after_a_kill_of_its_api_process(system: Factory) -> None:
    one = system()
    task_id = one.submit({"steps": 10, "sleep_seconds": 2})
    stream = watch(one.client, [task_id])
    stream.wait_for("progress")
    assert one.api
    (worker,) = map(int, Path(f"/proc/{one.api.pid}/task/{one.api.pid}/children").read_text(encoding="ascii").split())
    os.kill(worker, signal.SIGKILL)
    stream.wait_end(5)
    eventually(lambda: _answers(one), 20, "another process serves")
    rest = watch(one.client, [task_id], stream.events[-1].id).wait_end(20)
    assert [e.data["fraction"] for e in stream.events + rest.events if e.event == "progress"] == pytest.approx(
        [step / 10 for step in range(1, 11)]
    )


def _answers(system: System) -> bool:
    try:
        return system.client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
