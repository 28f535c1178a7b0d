"""Tasks over HTTP: one task, pages, logs, cancel, retry; and the answers to unknown ids, parameters and routes."""

import signal
import socket

import httpx
import psycopg
import pytest

from dtqs.sandbox.postgres import PrivatePostgres
from tests.support.fix_api import watch
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

FIELDS = [
    "task_id", "task_type", "status", "priority", "attempt", "max_retries", "payload", "result", "error", "tags",
    "progress", "retry_of", "created_at", "due_at", "started_at", "finished_at", "request_id",
]  # fmt: skip
UNKNOWN = "0192f3a0-0000-7000-8000-000000000000"


def test_a_task_has_exactly_its_fields(shared: System) -> None:
    task = shared.wait_for(shared.submit({"n": 1}, tags=["a"]))
    assert list(task) == FIELDS
    assert task["result"] == {"n": 1}
    assert task["attempt"] == 1
    assert task["error"] is task["progress"] is task["retry_of"] is task["due_at"] is None
    assert task["created_at"] <= task["started_at"] <= task["finished_at"]


def test_a_delayed_task_is_pending_with_no_attempt(shared: System) -> None:
    task = shared.task(shared.submit(delay_seconds=600))
    assert (task["status"], task["attempt"], task["result"]) == ("pending", 0, None)
    assert task["due_at"] > task["created_at"]


def test_pages_show_every_task_once_newest_first(shared: System) -> None:
    ids = shared.submit_many(12, tags=["paged"])
    shared.wait_for(ids[-1])
    seen: list[str] = []
    url: str | None = "/tasks?tag=paged&limit=5"
    while url:
        response = shared.client.get(url)
        assert len(response.json()["tasks"]) <= 5
        seen += [task["task_id"] for task in response.json()["tasks"]]
        link = response.links.get("next")
        assert (link is None) == (response.json()["next"] is None)
        url = link["url"] if link else None
    assert seen == ids[::-1]


def test_a_page_can_be_filtered_by_status_and_type(shared: System) -> None:
    failed = shared.wait_for(shared.submit({"fail": "permanent"}, tags=["chosen"]))
    waiting = shared.submit(delay_seconds=600, tags=["chosen"])
    done = shared.wait_for(shared.submit(tags=["chosen"]))
    for status, task_id in (("failed", failed["task_id"]), ("pending", waiting), ("completed", done["task_id"])):
        page = shared.client.get("/tasks", params={"tag": "chosen", "status": status, "task_type": "echo"}).json()
        assert [task["task_id"] for task in page["tasks"]] == [task_id]
    assert shared.client.get("/tasks?tag=chosen&task_type=image").json()["tasks"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=1.5", "limit"), ("limit=1&limit=2", "limit"),
        ("limit=\u0661", "limit"), ("status=done", "status"), ("after=x", "after"), ("after=1&after=2", "after"),
        ("tag=%00", "tag"), ("task_type=" + "x" * 101, "task_type"), ("colour=red", "colour"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(shared: System, query: str, field: str) -> None:
    response = shared.client.get(f"/tasks?{query}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/submit"), ("POST", "/files"), ("GET", "/files/{file}"), ("GET", "/sse?task_id={task}"),
        ("GET", "/tasks/{task}"), ("GET", "/tasks/{task}/logs"), ("POST", "/tasks/{task}/cancel"),
        ("POST", "/tasks/{task}/retry"),
    ],
)  # fmt: skip
def test_every_route_refuses_an_unknown_parameter(shared: System, method: str, path: str) -> None:
    task = shared.submit(delay_seconds=600)
    file = shared.client.post("/files?name=a", content=b"a").json()["uri"].removeprefix("upload:")
    place = path.format(task=task, file=file)
    response = shared.client.request(
        method, f"{place}{'&' if '?' in place else '?'}colour=red", json={"task_type": "echo", "payload": {}}
    )
    assert response.status_code == 422, response.text
    assert [error["field"] for error in response.json()["errors"]] == ["colour"]
    assert shared.task(task)["status"] == "pending"


def test_the_log_shows_each_attempt(shared: System) -> None:
    task_id = shared.submit({"fail_times": 1, "steps": 2})
    shared.wait_for(task_id)
    logs = shared.client.get(f"/tasks/{task_id}/logs").json()
    assert logs["next"] is None
    assert list(logs["logs"][0])[:7] == ["id", "event", "attempt", "level", "message", "data", "at"]
    events = [(row["event"], row["attempt"]) for row in logs["logs"] if row["event"] != "progress"]
    assert events == [("in_progress", 1), ("pending", 1), ("in_progress", 2), ("completed", 2)]
    first = shared.client.get(f"/tasks/{task_id}/logs?limit=2").json()
    rest = shared.client.get(f"/tasks/{task_id}/logs?after={first['next']}").json()
    assert first["logs"] + rest["logs"] == logs["logs"]


def test_a_pending_task_is_cancelled_at_once(shared: System) -> None:
    task_id = shared.submit(delay_seconds=600)
    stream = watch(shared.client, [task_id])
    stream.wait_for("status")
    response = shared.client.post(f"/tasks/{task_id}/cancel")
    assert response.status_code == 200
    assert response.json()["status"] == "cancelled"
    assert stream.wait_end().names == ["status", "cancelled"]
    again = shared.client.post(f"/tasks/{task_id}/cancel")
    assert again.status_code == 409
    assert "cancelled" in again.json()["detail"]


def test_a_running_task_is_interrupted(shared: System) -> None:
    task_id = shared.submit({"sleep_seconds": 60})
    shared.wait_for(task_id, "in_progress")
    response = shared.client.post(f"/tasks/{task_id}/cancel")
    assert response.status_code == 202
    assert response.json()["task_id"] == task_id
    assert shared.wait_for(task_id)["status"] == "cancelled"


def test_a_retry_makes_one_new_task(shared: System) -> None:
    failed = shared.wait_for(shared.submit({"fail": "permanent"}, priority=7, tags=["t"]))
    response = shared.client.post(f"/tasks/{failed['task_id']}/retry")
    new_id = response.json()["task_id"]
    assert response.status_code == 202
    assert response.headers["location"] == response.json()["links"]["self"] == f"/tasks/{new_id}"
    new = shared.wait_for(new_id)
    assert (new["retry_of"], new["payload"], new["priority"], new["tags"]) == (
        failed["task_id"],
        {"fail": "permanent"},
        7,
        ["t"],
    )
    again = shared.client.post(f"/tasks/{failed['task_id']}/retry")
    assert again.status_code == 202
    assert (again.json()["task_id"], again.json()["status"]) == (new_id, "failed")
    assert shared.task(failed["task_id"])["status"] == "failed"


def test_a_retry_keeps_its_upload_and_is_refused_without_it(shared: System) -> None:
    uri = shared.client.post("/files", content=b"no picture").json()["uri"]
    file_id = uri.removeprefix("upload:")
    first, second = (shared.wait_for(shared.submit({"source": uri}, "image"), "failed")["task_id"] for _ in range(2))
    shared.rows("UPDATE files SET kept_from = now() - interval '6 days' WHERE id = %s RETURNING 1", file_id)
    retried = shared.client.post(f"/tasks/{first}/retry")
    assert retried.status_code == 202
    assert shared.rows("SELECT kept_from > now() - interval '1 hour' FROM files WHERE id = %s", file_id) == [(True,)]
    shared.rows("DELETE FROM files WHERE id = %s RETURNING 1", file_id)
    refused = shared.client.post(f"/tasks/{second}/retry")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["field"] == "payload.source"
    assert f"there is no file {uri}" in error["message"]
    assert shared.client.post(f"/tasks/{first}/retry").json()["task_id"] == retried.json()["task_id"]


def test_only_failed_and_cancelled_tasks_can_be_retried(shared: System) -> None:
    done = shared.wait_for(shared.submit())
    for task_id in (done["task_id"], shared.submit(delay_seconds=600)):
        assert shared.client.post(f"/tasks/{task_id}/retry").status_code == 409


@pytest.mark.parametrize("task_id", [UNKNOWN, "x", "%00", "..%2f..%2fetc", UNKNOWN[:-1] + "g", "a" * 3000])
def test_an_unknown_task_is_not_found(shared: System, task_id: str) -> None:
    for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry")):
        response = shared.client.request(method, f"/tasks/{task_id}{path}")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
    assert shared.client.get(f"/sse?task_id={task_id}").status_code == 404


def test_unknown_routes_and_methods_are_problems(shared: System) -> None:
    nowhere, wrong = shared.client.get("/nowhere"), shared.client.delete("/submit")
    assert (nowhere.status_code, wrong.status_code) == (404, 405)
    assert "POST" in wrong.headers["allow"]
    for response in (nowhere, wrong):
        assert response.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= set(response.json())


def test_health_needs_no_key(shared: System) -> None:
    with httpx.Client(base_url=shared.url) as anybody:
        assert anybody.get("/healthz").status_code == 200
        ready = anybody.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["postgresql"]["state"] == "connected"
    assert ready.json()["rabbitmq"]["state"] == "connected"


def test_idle_connections_do_not_delay_a_shutdown(system: Factory) -> None:
    one = system({"api": {"shutdown_seconds": 30}}, supervisor=False)
    assert one.client.get("/healthz").status_code == 200
    assert one.api
    one.api.send_signal(signal.SIGTERM)
    assert one.api.wait(10) == 0


def test_a_process_ends_in_order_while_postgresql_hangs(system: Factory, own_postgres: PrivatePostgres) -> None:
    # otherwise its master kills it after shutdown_seconds, before it has said why it waits
    one = system({"api": {"shutdown_seconds": 4}}, dsn=own_postgres.dsn, supervisor=False)
    own_postgres.freeze()
    assert one.api
    one.api.send_signal(signal.SIGTERM)
    assert one.api.wait(20) == 0
    assert "the last totals are not written" in one.log("api")


def test_a_request_that_runs_at_shutdown_is_answered(system: Factory) -> None:
    one = system({"api": {"shutdown_seconds": 30}}, supervisor=False)
    body = b'{"task_type": "echo", "payload": {}}'
    head = (
        f"POST /submit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2])), timeout=20) as line:
        line.sendall(head + body[:10])
        assert (
            one.client.get("/healthz").status_code == 200
        )  # the only process answers, so it has begun with the submit
        assert one.api
        one.api.send_signal(signal.SIGTERM)
        eventually(lambda: "Handling signal" in one.log("api"))
        line.sendall(body[10:])
        assert line.recv(4096).startswith(b"HTTP/1.1 202")
    assert one.api.wait(10) == 0


def test_deeply_nested_stored_json_does_not_break_an_answer(shared: System) -> None:
    task = shared.wait_for(shared.submit(tags=["deep"]))
    deep = "[" * 600 + "]" * 600
    with psycopg.connect(shared.dsn) as connection:
        connection.execute("UPDATE tasks SET result = %s::json WHERE id = %s", (deep, task["task_id"]))
        connection.execute(
            "UPDATE logs SET data = %s::json WHERE task_id = %s", ("[" * 2000 + "]" * 2000, task["task_id"])
        )
    for path in (f"/tasks/{task['task_id']}", "/tasks?tag=deep", f"/tasks/{task['task_id']}/logs"):
        answer = shared.client.get(path)
        assert answer.status_code == 200, path
    assert deep in shared.client.get("/tasks?tag=deep").text
    assert "cannot be read" in shared.client.get(f"/tasks/{task['task_id']}/logs").text
    assert watch(shared.client, [task["task_id"]]).wait_end().names[-1] == "completed"


def test_numbers_come_back_as_they_were_sent(shared: System) -> None:
    body = b'{"task_type": "echo", "payload": {"z": 1e16, "a": -0.0, "n": [9007199254740993]}}'
    answer = shared.client.post("/submit", content=body, headers={"Content-Type": "application/json"})
    task = shared.wait_for(answer.json()["task_id"])
    assert repr(task["payload"]) == repr(task["result"]) == "{'z': 1e+16, 'a': -0.0, 'n': [9007199254740993]}"
