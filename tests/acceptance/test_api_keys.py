"""API keys, scopes and tickets: who may do what, and sees what."""

import httpx
import pytest

from dtqs.api.tickets import Tickets
from tests.fix_api import NewKey, Reader, open_store
from tests.fix_system import Factory, System
from tests.helpers import eventually

ECHO = {"task_type": "echo", "payload": {}}


def submitted(client: httpx.Client) -> dict[str, dict[str, str]]:
    response = client.post("/submit", json=ECHO)
    assert response.status_code == 202, response.text
    return dict(response.json())


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer nonsense", "Bearer \u00ff"])
def test_without_a_key_of_ours_nothing_is_shown(shared: System, header: str | None) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    for method, path in (("POST", "/submit"), ("GET", "/tasks"), ("POST", "/files"), ("GET", "/sse?task_id=0192f3a0-0000-7000-8000-000000000000")):
        response = httpx.request(method, shared.url + path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


def test_a_scope_allows_only_its_own(shared: System, new_key: NewKey) -> None:
    reader, submitter = new_key("reader", "read"), new_key("submitter", "submit")
    assert reader.post("/submit", json=ECHO).status_code == 403
    assert reader.post("/files", content=b"x").status_code == 403
    assert reader.get("/tasks").status_code == 200
    task_id = submitted(submitter)["task_id"]
    assert submitter.get(f"/tasks/{task_id}").status_code == 403
    assert submitter.get("/tasks").status_code == 403
    assert submitter.post(f"/tasks/{task_id}/cancel").status_code in (200, 202, 409)


def test_a_key_sees_only_what_was_submitted_with_it(shared: System, new_key: NewKey) -> None:
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


def test_what_an_admin_retries_stays_its_owners(shared: System, new_key: NewKey) -> None:
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
    ids = {client.post("/submit", json=ECHO, headers={"Idempotency-Key": "same"}).json()["task_id"] for client in clients}
    assert len(ids) == 2


def test_a_revoked_key_ends_within_seconds(shared: System, new_key: NewKey) -> None:
    client = new_key("short", "read")
    assert client.get("/tasks").status_code == 200
    with open_store(shared) as store:
        store.api_keys.revoke("short")
    eventually(lambda: client.get("/tasks").status_code == 401, 8)


def test_a_ticket_shows_its_tasks_and_nothing_else(shared: System) -> None:
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


def test_a_forged_or_expired_ticket_is_refused(shared: System) -> None:
    answer = submitted(shared.client)
    ticket = answer["links"]["sse"].partition("&ticket=")[2]
    with open_store(shared) as store:
        key = store.api_keys.signing_key()
    expired = Tickets(lambda: key, -1).sign(str(answer["task_id"]))
    forged = Tickets(lambda: b"guessed", 60).sign(str(answer["task_id"]))
    wrong = [expired, forged, ticket[:-4], ticket + "AAAA", ticket[:-1] + ("A" if ticket[-1] != "A" else "B"), "", "x", "\u00e9", "%00"]
    for one in wrong:
        response = httpx.get(f"{shared.url}/sse", params={"task_id": str(answer["task_id"]), "ticket": one})
        assert response.status_code == 401, one
        assert response.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{shared.url}/sse", params={"task_id": str(answer["task_id"]), "ticket": ticket}).status_code == 200


def test_with_auth_off_everybody_may(system: Factory) -> None:
    one = system({"api": {"auth": "off"}}, supervisor=False)
    with httpx.Client(base_url=one.url) as anybody:
        answer = submitted(anybody)
        assert "ticket" not in answer["links"]["sse"]
        assert anybody.get(f"/tasks/{answer['task_id']}").status_code == 200
        keyed = [anybody.post("/submit", json=ECHO, headers={"Idempotency-Key": "k"}).json()["task_id"] for _ in range(2)]
        assert keyed[0] == keyed[1]
