"""POST /submit: accepted and refused tasks, error messages, and repeated submits."""

from typing import Any

import httpx
import pytest

from tests.support.fix_system import Factory, System

ECHO = {"task_type": "echo", "payload": {"n": 1}}


def fields(response: httpx.Response) -> dict[str, str]:
    """Return the wrong fields of a refusal with their messages."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    return {error["field"]: error["message"] for error in problem["errors"]}


def post(system: System, body: str | bytes, **headers: str) -> httpx.Response:
    return system.client.post("/submit", content=body, headers={"Content-Type": "application/json", **headers})


def test_a_task_is_accepted_with_its_links(shared: System) -> None:
    response = shared.client.post("/submit", json=ECHO)
    answer = response.json()
    task_id = answer["task_id"]
    assert response.status_code == 202
    assert set(answer) == {"task_id", "status", "links"}
    assert answer["status"] == "pending"
    assert answer["links"]["self"] == response.headers["location"] == f"/tasks/{task_id}"
    assert answer["links"]["logs"] == f"/tasks/{task_id}/logs"
    assert answer["links"]["sse"].startswith(f"/sse?task_id={task_id}&ticket=")
    assert shared.wait_for(task_id)["result"] == {"n": 1}


def test_the_tasks_of_an_array_get_ascending_ids_in_their_order(shared: System) -> None:
    response = shared.client.post("/submit", json=[{"task_type": "echo", "payload": {"n": n}} for n in range(5)])
    answer = response.json()
    ids = [task["task_id"] for task in answer]
    assert response.status_code == 202
    assert [shared.wait_for(task_id)["payload"]["n"] for task_id in ids] == [0, 1, 2, 3, 4]
    assert len({task["links"]["sse"].partition("ticket=")[2] for task in answer}) == 1
    page = shared.client.get(response.headers["location"]).json()
    assert [task["task_id"] for task in page["tasks"]] == ids[::-1]


def test_an_array_with_a_wrong_task_stores_no_task(shared: System) -> None:
    marked = {"task_type": "echo", "payload": {}, "tags": ["none-of-these"]}
    response = shared.client.post(
        "/submit", json=[marked, {**marked, "priority": 10}, {**marked, "payload": {"steps": -1}}]
    )
    assert response.status_code == 422
    assert set(fields(response)) == {"[1].priority", "[2].payload.steps"}
    assert shared.client.get("/tasks?tag=none-of-these").json() == {"tasks": [], "next": None, "searched_to": None}


def test_every_wrong_field_is_listed_with_what_is_allowed(shared: System) -> None:
    body = {
        "task_type": "echo", "payload": {"sleep_seconds": "long"}, "priority": 1.5, "max_retries": -1,
        "timeout_seconds": 0, "delay_seconds": "1", "due_at": "tomorrow", "tags": ["x", ""], "colour": "red",
    }  # fmt: skip
    response = shared.client.post("/submit", json=body)
    assert response.status_code == 422
    named = fields(response)
    assert set(named) == {
        "priority", "max_retries", "timeout_seconds", "delay_seconds", "due_at", "tags[1]", "colour",
        "payload.sleep_seconds",
    }  # fmt: skip
    messages = [error["message"] for error in response.json()["errors"] if error["field"] == "due_at"]
    assert ["RFC 3339" in message or "delay_seconds" in message for message in messages] == [True, True]
    assert "priority" in named["colour"]


def test_a_field_that_fails_two_checks_is_listed_once(shared: System) -> None:
    body = '{"task_type": "echo", "payload": {}, "max_retries": 99999999999999999999999, "priority": 10}'
    response = shared.client.post("/submit", content=body, headers={"Content-Type": "application/json"})
    assert sorted(error["field"] for error in response.json()["errors"]) == ["max_retries", "priority"]


def test_an_unknown_task_type_lists_the_known_ones(shared: System) -> None:
    response = shared.client.post("/submit", json={"task_type": "ech", "payload": {}})
    assert response.status_code == 422
    message = fields(response)["task_type"]
    assert "echo" in message
    assert "image" in message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"task_type": "echo", "payload": {"a": NaN}}', 400),
        (b'{"task_type": "echo", "payload": {"a": 1e999}}', 400),
        (b'{"task_type": "echo", "payload": {"a": "\xff"}}', 400),
        (b'{"task_type": "echo", "payload": {"a": "\\ud800"}}', 400),
        (b"[" * 2000 + b"]" * 2000, 400),
        (b'{"task_type": "echo", "payload": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}", 422),
        (b"5", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"[5]", 422),
        (b'{"task_type": 5, "payload": {}}', 422),
        (b'{"task_type": "echo", "payload": []}', 422),
        (b'{"task_type": "echo"}', 422),
        (b'{"task_type": "echo", "payload": {"a": "x\\u0000"}}', 422),
        (b'{"task_type": "echo", "payload": {"a\\u0000": 1}}', 422),
        (b'{"task_type": "ec\\u0000ho", "payload": {}}', 422),
        (b'{"task_type": "echo", "payload": {}, "tags": ["\\u0000"]}', 422),
        (b'{"task_type": "echo", "payload": {"a": 1, "a": 2}}', 422),
        (b'{"task_type": "echo", "payload": {"a": 1, "\\u0061": 2}}', 422),
        (b'{"task_type": "echo", "payload": {"a": 18446744073709551616}}', 422),
        (b'{"task_type": "echo", "payload": {}, "priority": 99999999999999999999}', 422),
        (b'{"task_type": "echo", "payload": {}, "max_retries": true}', 422),
        (b'{"task_type": "echo", "payload": {}, "due_at": "9999-12-31T23:59:59-23:59"}', 422),
        (b'{"task_type": "echo", "payload": {}, "due_at": "2026-02-30T00:00:00Z"}', 422),
        (b'{"task_type": "echo", "payload": {}, "due_at": "2026-02-20T00:00:00Z", "delay_seconds": 1}', 422),
    ],
)
def test_an_invalid_body_is_refused(shared: System, body: bytes, status: int) -> None:
    response = post(shared, body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_unusual_but_valid_json_is_kept_unchanged(shared: System) -> None:
    payload = {
        "a:b": "x:y",
        "\u00e9\U0001f600": [1.5, -0.0, 1e300, 18446744073709551615, -9223372036854775808],
        "": {"": None},
        "c": "\\u0000 \\u003a",
    }
    task_id = shared.submit(payload)
    assert shared.wait_for(task_id)["result"] == payload


def test_a_body_of_another_media_type_is_refused(shared: System) -> None:
    response = post(shared, b"a=b", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 415
    assert "application/json" in response.json()["detail"]


def test_a_body_over_the_limit_is_refused_with_and_without_a_length(shared: System) -> None:
    limit = shared.config.api.max_body_bytes
    assert post(shared, b" " * (limit + 1)).status_code == 413

    def chunks() -> Any:
        yield from [b" " * 65536] * (limit // 65536 + 1)

    assert (
        shared.client.post("/submit", content=chunks(), headers={"Content-Type": "application/json"}).status_code == 413
    )
    assert shared.client.post("/submit", json=ECHO).status_code == 202


def test_an_array_over_the_limit_is_refused(shared: System) -> None:
    assert shared.client.post("/submit", json=[ECHO] * 1001).status_code == 422
    assert len(shared.client.post("/submit", json=[ECHO] * 1000).json()) == 1000


def test_limits_and_times_reach_the_task(shared: System) -> None:
    asked = {
        **ECHO,
        "priority": 9,
        "max_retries": 0,
        "tags": ['quo"ted', "b\\c", "{d}"],
        "due_at": "2026-01-02T03:04:05.678+02:00",
    }
    task = shared.wait_for(shared.client.post("/submit", json=asked).json()["task_id"])
    assert (task["priority"], task["max_retries"], task["tags"]) == (9, 0, asked["tags"])
    assert task["due_at"] == "2026-01-02T01:04:05.678000Z"


def test_a_repeated_idempotency_key_stores_one_task(shared: System) -> None:
    first = post(shared, '{"task_type": "echo", "payload": {"a": 1, "b": 2}}', **{"Idempotency-Key": "k1"})
    again = post(shared, '{"payload": {"b": 2, "a": 1}, "task_type": "echo"}', **{"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 202
    assert again.json()["task_id"] == first.json()["task_id"]
    assert shared.wait_for(first.json()["task_id"])["status"] == "completed"
    later = post(shared, '{"task_type": "echo", "payload": {"a": 1, "b": 2}}', **{"Idempotency-Key": "k1"})
    assert later.json()["status"] == "completed"


def test_a_program_that_uploads_its_file_again_finds_its_first_task(shared: System) -> None:
    def submitted(content: bytes) -> httpx.Response:
        stored = shared.client.post("/files?name=a.png", content=content, headers={"Content-Type": "image/png"}).json()
        payload = {"source": stored["uri"], "outputs": [{"name": "small", "width": 4}]}
        body = {"task_type": "image", "payload": payload, "delay_seconds": 600}
        return shared.client.post("/submit", json=body, headers={"Idempotency-Key": "upload-again"})

    first, again = submitted(b"one"), submitted(b"one")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["task_id"] == again.json()["task_id"]
    assert submitted(b"two").status_code == 409


def test_the_same_idempotency_key_with_another_body_is_refused(shared: System) -> None:
    assert post(shared, '{"task_type": "echo", "payload": {"a": 1}}', **{"Idempotency-Key": "k2"}).status_code == 202
    assert post(shared, '{"task_type": "echo", "payload": {"a": 2}}', **{"Idempotency-Key": "k2"}).status_code == 409
    assert post(shared, '{"task_type": "echo", "payload": {}}', **{"Idempotency-Key": "with space"}).status_code == 422


def test_a_repeated_array_under_an_idempotency_key_returns_the_first_tasks(shared: System) -> None:
    bodies = [{"task_type": "echo", "payload": {"n": n}} for n in range(3)]
    first, again = (
        shared.client.post("/submit", json=bodies, headers={"Idempotency-Key": "k3"}).json() for _ in range(2)
    )
    assert [task["task_id"] for task in again] == [task["task_id"] for task in first]


def test_a_missing_source_is_refused_with_its_field(shared: System) -> None:
    missing = "upload:0192f3a0-0000-7000-8000-000000000000"
    response = shared.client.post("/submit", json=[ECHO, {"task_type": "image", "payload": {"source": missing}}])
    assert response.status_code == 422
    assert list(fields(response)) == ["[1].payload.source"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("ftp://example.org/a.jpg", "upload:ID, https://host/path"),
        ("https://user:secret@example.org/a.jpg", "a user name or password is not allowed"),
        ("https://example.org:8443/a.jpg", "port 8443 is not allowed"),
        ("http://[::ffff:169.254.169.254]/latest/", "link-local"),
        ("s3://bucket/key", "not configured"),
        ("file:/etc/passwd", "not configured"),
    ],
)
def test_a_source_that_may_not_be_opened_is_refused_with_the_reason(shared: System, source: str, reason: str) -> None:
    response = shared.client.post("/submit", json=[ECHO, {"task_type": "image", "payload": {"source": source}}])
    assert response.status_code == 422
    assert list(fields(response)) == ["[1].payload.source"]
    assert reason in fields(response)["[1].payload.source"]


def test_submits_are_accepted_while_the_broker_is_away(system: Factory) -> None:
    one = system(amqp_url="amqp://nobody:nothing@127.0.0.1:1/%2F", supervisor=False)
    ids = [one.submit({"n": n}) for n in range(3)] + one.submit_many(10)
    ready = one.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["rabbitmq"]["state"] == "away"
    assert [one.task(task_id)["status"] for task_id in ids] == ["pending"] * 13
