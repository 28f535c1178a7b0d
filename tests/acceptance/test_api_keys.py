"""API keys, scopes, ceilings and tickets: each caller sees and does only the things that its key allows."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from dtqs.api.access.secret import api_secret
from dtqs.api.access.tickets import Tickets
from dtqs.store.reads import FAR_LIMIT, LOOK_LIMIT
from dtqs.uuid7 import uuid7
from tests.support.fix_api import NewKey, Reader, open_store
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

ECHO = {"task_type": "echo", "payload": {}}


def submitted(client: httpx.Client) -> dict[str, dict[str, str]]:
    response = client.post("/submit", json=ECHO)
    assert response.status_code == 202, response.text
    return dict(response.json())


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer nonsense", "Bearer \u00ff"])
def test_a_request_without_a_valid_key_is_refused(shared: System, header: str | None) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    for method, path in (
        ("POST", "/submit"),
        ("GET", "/tasks"),
        ("POST", "/files"),
        ("GET", "/sse?task_id=0192f3a0-0000-7000-8000-000000000000"),
    ):
        response = httpx.request(method, shared.url + path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


def test_a_scope_allows_only_its_own_requests(shared: System, new_key: NewKey) -> None:
    reader, submitter = new_key("reader", "read"), new_key("submitter", "submit")
    assert reader.post("/submit", json=ECHO).status_code == 403
    assert reader.post("/files", content=b"x").status_code == 403
    assert reader.get("/tasks").status_code == 200
    task_id = submitted(submitter)["task_id"]
    assert submitter.get(f"/tasks/{task_id}").status_code == 403
    assert submitter.get("/tasks").status_code == 403
    assert submitter.post(f"/tasks/{task_id}/cancel").status_code in (200, 202, 409)


def test_a_key_sees_only_its_own_tasks_and_files(shared: System, new_key: NewKey) -> None:
    mine, other = new_key("mine", "submit", "read"), new_key("other", "submit", "read")
    task_id = submitted(mine)["task_id"]
    file_id = mine.post("/files", content=b"secret").json()["uri"].removeprefix("upload:")
    shared.wait_for(str(task_id))
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/logs", f"/sse?task_id={task_id}", f"/files/{file_id}"):
        assert mine.get(path).status_code == 200
        assert other.get(path).status_code == 404
        assert shared.client.get(path).status_code == 200
    for action in ("cancel", "retry"):
        assert other.post(f"/tasks/{task_id}/{action}").status_code == 404
        assert mine.post(f"/tasks/{task_id}/{action}").status_code == 409
    assert [task["task_id"] for task in mine.get("/tasks").json()["tasks"]] == [task_id]
    assert other.get("/tasks").json()["tasks"] == []
    for scheme in ("upload", "Upload", "UPLOAD"):
        refused = other.post("/submit", json={"task_type": "image", "payload": {"source": f"{scheme}:{file_id}"}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "payload.source"


def test_a_task_retried_by_an_admin_stays_its_owners(shared: System, new_key: NewKey) -> None:
    mine = new_key("owner of a failure", "submit", "read")
    failing = {"task_type": "echo", "payload": {"fail": "permanent"}}
    task_id = mine.post("/submit", json=failing).json()["task_id"]
    shared.wait_for(task_id)
    retried = shared.client.post(f"/tasks/{task_id}/retry").json()["task_id"]
    again = mine.post(f"/tasks/{task_id}/retry")
    assert (again.status_code, again.json()["task_id"]) == (202, retried)
    assert mine.get(f"/tasks/{retried}").json()["retry_of"] == task_id
    assert mine.get(again.json()["links"]["sse"]).status_code == 200


def test_idempotency_keys_belong_to_their_api_key(new_key: NewKey) -> None:
    clients = [new_key(name, "submit") for name in ("first", "second")]
    ids = {
        client.post("/submit", json=ECHO, headers={"Idempotency-Key": "same"}).json()["task_id"] for client in clients
    }
    assert len(ids) == 2


def test_a_revoked_key_is_refused_within_seconds(shared: System, new_key: NewKey) -> None:
    client = new_key("short", "read")
    assert client.get("/tasks").status_code == 200
    with open_store(shared) as store:
        store.api_keys.revoke("short")
    eventually(lambda: client.get("/tasks").status_code == 401, 8)


def test_every_answer_forbids_caching_type_guessing_and_embedding(shared: System) -> None:
    task_id = shared.submit({"a": 1})
    paths = [
        f"/tasks/{task_id}",
        f"/tasks/{task_id}/logs",
        "/tasks",
        "/nowhere",
        "/readyz",
        "/healthz",
        "/overview",
        "/tasks/none",
        f"/sse?task_id={task_id}",
    ]
    for client in (shared.client, httpx.Client(base_url=shared.url)):
        for path in paths:
            headers = client.get(path).headers
            assert headers["cache-control"].startswith("no-store"), path
            assert (headers["x-content-type-options"], headers["cross-origin-resource-policy"]) == (
                "nosniff",
                "same-origin",
            ), path
    client.close()


def test_an_address_that_tries_many_wrong_keys_must_wait(system: Factory) -> None:
    one = system(supervisor=False)
    with open_store(one) as store:
        _, fresh = store.api_keys.create("not seen yet", ["read"])
    same_address = {"X-Forwarded-For": "198.51.100.7"}
    with httpx.Client(base_url=one.url, headers=same_address, timeout=30) as stranger, ThreadPoolExecutor(80) as pool:
        answers = list(
            pool.map(
                lambda number: stranger.get("/tasks", headers={"Authorization": f"Bearer dtqs_{number}"}), range(160)
            )
        )
        assert {answer.status_code for answer in answers} == {401, 429}
        assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 429} == {"1"}
        key = {"Authorization": f"Bearer {fresh}"}
        eventually(
            lambda: stranger.get("/tasks", headers=key).status_code == 200,
            10,
            "a valid key gets in, although its address has no failures left",
        )
        assert stranger.post("/session", json={"api_key": fresh}, headers={"Origin": one.url}).status_code == 200
    assert one.client.get("/tasks").status_code == 200


def test_a_list_shows_no_id_of_another_keys_task(shared: System, new_key: NewKey) -> None:
    client, later = new_key("lister", "submit", "read"), {**ECHO, "delay_seconds": 3600}
    mine = client.post("/submit", json=later).json()["task_id"]
    foreign = shared.submit_many(LOOK_LIMIT + FAR_LIMIT + 1000, delay_seconds=3600)
    found, after, pages = [], None, 0
    while pages < 10:
        page = client.get("/tasks", params={"after": after} if after else {})
        assert page.status_code == 200
        found += [task["task_id"] for task in page.json()["tasks"]]
        assert not any(task_id in page.text or task_id in page.headers.get("link", "") for task_id in foreign)
        after, pages = page.json()["next"], pages + 1
        if after is None:
            break
    assert (found, pages > 1) == ([mine], True)
    assert shared.client.get("/tasks", params={"after": mine}).status_code == 200


# --- ceilings


def errors(response: httpx.Response) -> dict[str, str]:
    return {problem["field"]: problem["message"] for problem in response.json()["errors"]}


def test_a_request_above_a_keys_ceilings_is_refused_with_the_allowed_values(new_key: NewKey) -> None:
    client = new_key(
        "ceilings", "submit", "read", max_priority=5, max_timeout_seconds=60.0, task_types=("echo", "image")
    )
    sms = {"task_type": "sms", "payload": {"to": "+491701234567", "text": "x"}}
    above = client.post("/submit", json=[ECHO, {**ECHO, "priority": 6, "timeout_seconds": 61}, sms])
    assert above.status_code == 403
    assert {name: message.rpartition(" ")[2] for name, message in errors(above).items() if "task_type" not in name} == {
        "[1].priority": "5", "[1].timeout_seconds": "60",
    }  # fmt: skip
    assert errors(above)["[2].task_type"].endswith("may submit: echo, image")
    allowed = client.post("/submit", json={**ECHO, "priority": 5, "timeout_seconds": 60})
    assert allowed.status_code == 202


def test_a_task_without_a_time_limit_gets_the_limit_of_its_key(shared: System, new_key: NewKey) -> None:
    client = new_key("short of time", "submit", "read", max_timeout_seconds=7.0)
    task_id = submitted(client)["task_id"]
    with psycopg.connect(shared.dsn) as connection:
        row = connection.execute("SELECT timeout_seconds FROM tasks WHERE id = %s", [task_id]).fetchone()
    assert row == (7.0,)


def test_a_key_cannot_exceed_its_ceiling_of_pending_tasks(shared: System, new_key: NewKey) -> None:
    client, later = new_key("few", "submit", "read", max_pending=3), {**ECHO, "delay_seconds": 3600}
    assert client.post("/submit", json=[later] * 4).status_code == 403
    first = client.post("/submit", json=[later] * 2, headers={"Idempotency-Key": "two"})
    assert first.status_code == 202
    last = str(client.post("/submit", json=later).json()["task_id"])
    refused = client.post("/submit", json=later)
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
    assert "at most 3 are allowed (max_pending)" in refused.json()["detail"]
    again = client.post("/submit", json=[later] * 2, headers={"Idempotency-Key": "two"})
    assert [task["task_id"] for task in again.json()] == [task["task_id"] for task in first.json()]
    assert client.post("/submit", json=later, headers={"Idempotency-Key": "another"}).status_code == 429
    assert client.post(f"/tasks/{last}/cancel").status_code == 200
    assert client.post(f"/tasks/{last}/retry").status_code == 202
    # The retry is due now, and a worker soon takes it.
    eventually(lambda: client.post("/submit", json=ECHO).status_code == 202, what="a task is accepted again")
    assert shared.client.post("/submit", json=later).status_code == 202


def test_a_repeated_retry_is_answered_at_the_ceiling_too(new_key: NewKey) -> None:
    client, later = new_key("one", "submit", "read", max_pending=1), {**ECHO, "delay_seconds": 3600}
    old = client.post("/submit", json=later).json()["task_id"]
    assert client.post(f"/tasks/{old}/cancel").status_code == 200
    first = client.post(f"/tasks/{old}/retry").json()["task_id"]
    eventually(
        lambda: client.post("/submit", json=later).status_code == 202,
        what="the retry has been taken, and another task has its place",
    )
    assert client.post("/submit", json=later).status_code == 429
    again = client.post(f"/tasks/{old}/retry")
    assert (again.status_code, again.json()["task_id"]) == (202, first)


def test_a_retry_gets_at_most_its_callers_time_limit(shared: System, new_key: NewKey) -> None:
    lowered, rows = new_key("lowered", "admin", max_timeout_seconds=60.0), []
    for limit in ({"timeout_seconds": 86400}, {}):
        old = shared.client.post("/submit", json={**ECHO, **limit, "delay_seconds": 3600}).json()["task_id"]
        assert shared.client.post(f"/tasks/{old}/cancel").status_code == 200
        new = lowered.post(f"/tasks/{old}/retry").json()["task_id"]
        with psycopg.connect(shared.dsn) as connection:
            rows.append(connection.execute("SELECT timeout_seconds FROM tasks WHERE id = %s", [new]).fetchone())
    assert rows == [(60.0,), (60.0,)]


def test_concurrent_submits_cannot_exceed_the_ceiling_of_pending_tasks(new_key: NewKey) -> None:
    client, later = new_key("many at once", "submit", max_pending=20), {**ECHO, "delay_seconds": 3600}
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: client.post("/submit", json=later).status_code, range(60)))
    assert set(statuses) == {202, 429}
    # A commit in flight counts twice at worst: too few tasks may be accepted, never too many.
    assert 4 <= statuses.count(202) <= 20
    one_by_one = [client.post("/submit", json=later).status_code for _ in range(21)]
    assert statuses.count(202) + one_by_one.count(202) == 20


def test_an_upload_above_its_keys_ceiling_is_refused(new_key: NewKey) -> None:
    client = new_key("small files", "submit", max_upload_bytes=10)
    assert client.post("/files", content=b"x" * 10).status_code == 201
    for refused in (
        client.post("/files", content=b"x" * 11),
        client.post("/files", files={"file": ("a.txt", b"x" * 11)}),
    ):
        assert refused.status_code == 413
        assert "the allowed 10 bytes" in refused.json()["detail"]


def test_values_above_the_general_limits_are_refused(shared: System) -> None:
    refused = shared.client.post("/submit", json={**ECHO, "max_retries": 101, "timeout_seconds": 86401, "priority": 10})
    assert refused.status_code == 422
    assert errors(refused) == {
        "max_retries": "at most 100 is allowed here ([limits] max_retries)",
        "timeout_seconds": "at most 86400 is allowed here ([limits] max_timeout_seconds)",
        "priority": errors(refused)["priority"],
    }


def test_a_long_payload_makes_a_task_heavy(shared: System) -> None:
    ids = [shared.submit({"text": "x" * size}) for size in (65_000, 66_000)]
    with psycopg.connect(shared.dsn) as connection:
        rows = connection.execute("SELECT light FROM tasks WHERE id = ANY (%s::uuid[]) ORDER BY id", [ids]).fetchall()
    assert rows == [(True,), (False,)]


def test_a_ticket_opens_the_stream_of_its_tasks_only(shared: System) -> None:
    answer = shared.client.post("/submit", json=[ECHO, ECHO]).json()
    other = str(submitted(shared.client)["task_id"])
    ids, ticket = [task["task_id"] for task in answer], answer[0]["links"]["sse"].partition("&ticket=")[2]
    with httpx.Client(base_url=shared.url) as anybody:
        both = Reader(anybody, f"/sse?task_id={ids[0]}&task_id={ids[1]}&ticket={ticket}").wait_end()
        assert both.names.count("completed") == 2
        assert anybody.get(f"/sse?task_id={ids[0]}&task_id={other}&ticket={ticket}").status_code == 404
        assert anybody.get(f"/sse?task_id={other}&ticket={ticket}").status_code == 404
        assert anybody.get(f"/tasks/{ids[0]}?ticket={ticket}").status_code == 401
        assert anybody.get(f"/tasks/{ids[0]}", headers={"Authorization": f"Bearer {ticket}"}).status_code == 401


def test_a_ticket_ends_with_the_key_of_its_submit(shared: System, new_key: NewKey) -> None:
    link = submitted(new_key("leaver", "submit"))["links"]["sse"]
    assert httpx.get(shared.url + link).status_code == 200
    with open_store(shared) as store:
        store.api_keys.revoke("leaver")
    eventually(lambda: httpx.get(shared.url + link).status_code == 401, 8)
    assert "its API key was revoked" in httpx.get(shared.url + link).json()["detail"]


def test_a_forged_or_expired_ticket_is_refused(shared: System) -> None:
    answer = submitted(shared.client)
    ticket = answer["links"]["sse"].partition("&ticket=")[2]
    expired = Tickets(api_secret(shared.config), -1).sign(uuid7(), str(answer["task_id"]))
    forged = Tickets(b"guessed", 60).sign(uuid7(), str(answer["task_id"]))
    wrong = [
        expired,
        forged,
        ticket[:-4],
        ticket + "AAAA",
        ticket[:-1] + ("A" if ticket[-1] != "A" else "B"),
        "",
        "x",
        "\u00e9",
        "%00",
    ]
    for one in wrong:
        response = httpx.get(f"{shared.url}/sse", params={"task_id": str(answer["task_id"]), "ticket": one})
        assert response.status_code == 401, one
        assert response.headers["content-type"] == "application/problem+json"
    assert (
        httpx.get(f"{shared.url}/sse", params={"task_id": str(answer["task_id"]), "ticket": ticket}).status_code == 200
    )


def test_without_authentication_every_request_is_allowed(system: Factory) -> None:
    one = system({"api": {"auth": "off"}}, supervisor=False)
    with httpx.Client(base_url=one.url) as anybody:
        answer = submitted(anybody)
        assert "ticket" not in answer["links"]["sse"]
        assert anybody.get(f"/tasks/{answer['task_id']}").status_code == 200
        keyed = [
            anybody.post("/submit", json=ECHO, headers={"Idempotency-Key": "k"}).json()["task_id"] for _ in range(2)
        ]
        assert keyed[0] == keyed[1]
