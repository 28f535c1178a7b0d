"""The dashboard's side of the API: logins, origins of requests, static files and the overview of the whole system."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import orjson
import pytest

from tests.support.fix_api import NewKey, open_store
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

_ADD_ROWS = """
    INSERT INTO logs (task_id, event, level, message, at)
    SELECT gen_random_uuid(), 'log', 'info', repeat(md5(i::text), 8), now()
    FROM generate_series(1, 40000) i
    RETURNING 1"""
HERE = {"Sec-Fetch-Site": "same-origin"}


@contextmanager
def log_in(system: System, secret: str) -> Iterator[httpx.Client]:
    """Open a client with a session and without a key."""
    with httpx.Client(base_url=system.url, headers=HERE, timeout=30) as client:
        answer = client.post("/session", json={"api_key": secret})
        assert answer.status_code == 200, answer.text
        yield client


def test_a_login_cookie_is_hidden_from_scripts_and_other_sites(shared: System) -> None:
    with log_in(shared, shared.key) as client:
        (cookie,) = client.cookies.jar
        assert (cookie.has_nonstandard_attr("HttpOnly"), cookie.get_nonstandard_attr("SameSite"), cookie.path) == (
            True,
            "Strict",
            "/",
        )
        assert shared.key not in str(cookie.value)
        assert client.get("/session").json() == {
            "auth": True,
            "key_name": "system",
            "scopes": ["submit", "read", "admin"],
            "expires_at": cookie.expires,
        }
        task_id = client.post("/submit", json={"task_type": "echo", "payload": {}}).json()["task_id"]
        assert client.get(f"/tasks/{task_id}").status_code == client.get(f"/sse?task_id={task_id}").status_code == 200
        copy = {"Cookie": f"dtqs_session={cookie.value}"}
        assert httpx.get(f"{shared.url}/tasks", headers=copy).status_code == 200
        assert client.delete("/session").status_code == 204
        assert client.get("/session").json()["key_name"] is None
        assert httpx.get(f"{shared.url}/tasks", headers=copy).status_code == 401
        assert client.get("/tasks").status_code == 401


def test_behind_https_the_cookie_is_for_https_only(shared: System) -> None:
    answer = httpx.post(
        f"{shared.url}/session", json={"api_key": shared.key}, headers=HERE | {"X-Forwarded-Proto": "https"}
    )
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("body", [b'{"api_key": "dtqs_no_such_key"}', b"{}", b"[]", b"no json", b'{"api_key": 1}'])
def test_a_login_without_a_valid_key_is_refused(shared: System, body: bytes) -> None:
    answer = httpx.post(f"{shared.url}/session", content=body, headers=HERE)
    assert answer.status_code == {b'{"api_key": "dtqs_no_such_key"}': 403, b"no json": 400}.get(body, 422)
    assert "set-cookie" not in answer.headers


def test_a_changed_cookie_is_refused(shared: System) -> None:
    with log_in(shared, shared.key) as client:
        good = next(iter(client.cookies.jar)).value or ""
    for value in (
        "",
        "x",
        good[:-1],
        good + "A",
        ("B" if good[20] == "A" else "A").join((good[:20], good[21:])),
        good.swapcase(),
    ):
        assert httpx.get(f"{shared.url}/tasks", headers={"Cookie": f"dtqs_session={value}"}).status_code == 401
    assert httpx.get(f"{shared.url}/tasks", headers={"Cookie": f"dtqs_session={good}"}).status_code == 200


def test_a_session_has_the_scopes_of_its_key_and_ends_with_it(shared: System, new_key: NewKey) -> None:
    secret = new_key("leaver", "read").headers["authorization"].removeprefix("Bearer ")
    with log_in(shared, secret) as client:
        assert client.get("/tasks").status_code == 200
        assert client.post("/submit", json={"task_type": "echo", "payload": {}}).status_code == 403
        assert [client.get(path).status_code for path in ("/overview", "/overview/stream", "/logs")] == [403, 403, 403]
        with open_store(shared) as store:
            store.api_keys.revoke("leaver")
        eventually(lambda: client.get("/tasks").status_code == 401, 8, "the session has ended with its key")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "HERE"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "HERE"}, 200),
        ({}, 403),
    ],
)
def test_only_the_dashboards_own_pages_may_change_tasks_by_cookie(
    shared: System, headers: dict[str, str], status: int
) -> None:
    with log_in(shared, shared.key) as client:
        client.headers = httpx.Headers({name: value.replace("HERE", shared.url) for name, value in headers.items()})
        task_id = shared.submit({}, delay_seconds=60)
        assert client.post(f"/tasks/{task_id}/cancel").status_code == status
        assert client.delete("/session").status_code == (204 if status == 200 else 403)
        assert shared.task(task_id)["status"] == ("cancelled" if status == 200 else "pending")
        assert shared.client.post(f"/tasks/{task_id}/retry", headers=headers).status_code in (202, 409), (
            "a request with a key is not a cookie request: its origin does not matter"
        )


def test_another_site_cannot_log_a_browser_in(shared: System) -> None:
    answer = httpx.post(
        f"{shared.url}/session", json={"api_key": shared.key}, headers={"Origin": "http://evil.example"}
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_without_keys_other_sites_cannot_change_anything(system: Factory) -> None:
    open_to_all = system({"api": {"auth": "off"}}, supervisor=False)
    assert httpx.get(f"{open_to_all.url}/session").json() == {
        "auth": False,
        "key_name": None,
        "scopes": ["submit", "read", "admin"],
        "expires_at": None,
    }
    task = {"task_type": "echo", "payload": {}}
    assert httpx.post(f"{open_to_all.url}/submit", json=task).status_code == 202, (
        "a client that is not a browser sends no origin"
    )
    assert httpx.post(f"{open_to_all.url}/submit", json=task, headers=HERE).status_code == 202
    assert (
        httpx.post(f"{open_to_all.url}/submit", json=task, headers={"Origin": "http://evil.example"}).status_code == 403
    )
    assert httpx.get(f"{open_to_all.url}/overview").status_code == 200


def test_without_keys_requests_to_a_foreign_host_name_are_refused(system: Factory) -> None:
    """Simulate DNS rebinding: the attacker's name leads to this server, so the browser sees one site."""
    open_to_all = system({"api": {"auth": "off", "public_url": "https://Queue.Example/dtqs"}}, supervisor=False)
    port = open_to_all.url.rpartition(":")[2]

    def ask(method: str, path: str, host: str) -> httpx.Response:
        return httpx.request(
            method,
            f"{open_to_all.url}{path}",
            headers=HERE | {"Host": host, "Origin": f"http://{host}"},
            json={"task_type": "echo", "payload": {}},
        )

    for host in (
        f"evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.evil.example",
        "",
        "[::1",
        "queue.example.evil.example",
    ):
        for method, path in (
            ("POST", "/submit"),
            ("GET", "/overview"),
            ("GET", "/tasks"),
            ("GET", "/logs"),
            ("GET", "/sse?task_id=0198c5b5-0000-7000-8000-000000000000"),
        ):
            refused = ask(method, path, host)
            assert (refused.status_code, "loopback" in refused.text) == (403, True), (host, path, refused.text)
    for host in (
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        "LOCALHOST.",
        f"[::1]:{port}",
        "127.1.2.3",
        "dtqs.localhost:80",
        "queue.example",
        "queue.example:443",
    ):
        assert ask("POST", "/submit", host).status_code == 202, host
        assert ask("GET", "/tasks", host).status_code == 200, host


def test_a_browser_gets_the_dashboard_and_may_cache_its_files(shared: System) -> None:
    page = httpx.get(shared.url, headers={"Accept": "text/html,*/*"})
    policy = page.headers["content-security-policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert (page.headers["x-content-type-options"], page.headers["cache-control"]) == ("nosniff", "no-cache")
    assert (
        httpx.get(shared.url, headers={"Accept": "text/html", "If-None-Match": page.headers["etag"]}).status_code == 304
    )
    script = next(part for part in page.text.split('"') if part.endswith("/app.js"))
    kept = httpx.get(f"{shared.url}/{script}")
    assert (kept.status_code, kept.headers["cache-control"], kept.headers["content-encoding"]) == (
        200,
        "public, max-age=31536000, immutable",
        "gzip",
    )
    older = httpx.get(f"{shared.url}/web/0123456789abcdef/app.js", headers={"Accept-Encoding": "identity"})
    assert (older.text, older.headers["cache-control"]) == (kept.text, "no-cache")
    assert (
        httpx.get(f"{shared.url}/web/x/no.js").status_code
        == httpx.get(f"{shared.url}/web/x/..%2Fassets.py").status_code
        == 404
    )
    assert httpx.get(shared.url).json()["description"] == "/openapi.json"


@pytest.mark.parametrize("is_session", [True, False])
def test_an_open_stream_of_the_overview_ends_with_its_key(shared: System, new_key: NewKey, is_session: bool) -> None:
    name = f"watcher-{is_session}"
    client = new_key(name, "admin")
    if is_session:
        secret = client.headers.pop("authorization").removeprefix("Bearer ")
        assert client.post("/session", json={"api_key": secret}, headers=HERE).status_code == 200
    readings, revoked_at = 0, 0.0
    with client.stream("GET", "/overview/stream") as stream:
        for piece in stream.iter_text():
            readings += piece.count("event: reading")
            if readings >= 2 and not revoked_at:
                with open_store(shared) as store:
                    store.api_keys.revoke(name)
                revoked_at = time.monotonic()
            assert not revoked_at or time.monotonic() - revoked_at < 30, "the stream goes on"
    assert readings >= 2
    assert client.get("/overview").status_code == 401


def test_many_searches_of_the_log_do_not_delay_readings(shared: System) -> None:
    shared.wait_for(shared.submit({"sleep_seconds": 0.1}))
    assert len(shared.rows(_ADD_ROWS)) == 40000
    with (
        httpx.Client(
            base_url=shared.url, headers=shared.client.headers, timeout=60, limits=httpx.Limits(max_connections=200)
        ) as client,
        ThreadPoolExecutor(160) as many,
    ):
        searches = [
            many.submit(client.get, "/logs", params={"search": f"no such text {number}"}) for number in range(300)
        ]
        states = set()
        while not all(one.done() for one in searches):
            states.add(shared.client.get("/overview").json()["reading"]["database"]["state"])
        answers = [one.result() for one in searches]
    assert states == {"ok"}
    refused = [answer for answer in answers if answer.status_code != 200]
    assert all(
        answer.status_code == 503 and "searches of the log" in answer.text and answer.headers["retry-after"]
        for answer in refused
    ), refused[0].text
    assert len(refused) < len(answers)
    assert shared.client.get("/logs", params={"search": "no such text"}).status_code == 200


def test_the_overview_and_its_stream_show_the_system(shared: System) -> None:
    shared.wait_for(shared.submit({"fail": "permanent"}))
    document = shared.client.get("/overview").json()["reading"]
    assert (document["database"]["state"], document["broker"]["state"], len(document["workers"])) == ("ok", "ok", 1)
    text = ""
    began = time.monotonic()
    with shared.client.stream("GET", "/overview/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for piece in stream.iter_text():
            text += piece
            if text.count("event: reading") == 2 and text.endswith("\n\n"):
                break
    assert time.monotonic() - began < 12
    events = [block.split("\ndata: ") for block in text.split("\n\n") if "data: " in block]
    assert [name for name, _ in events] == ["event: history", "event: reading", "event: reading"]
    first, second = (orjson.loads(data) for _, data in events[1:])
    assert second["reading"]["at"] - first["reading"]["at"] > 1
    assert [failure["message"] for failure in second["reading"]["failures"]] == [
        "the payload asks for a permanent error"
    ]
    assert set(second["point"]) >= {"at", "submitted", "pending", "wait_p50", "busy"}


def test_log_rows_are_found_by_level_text_and_task(shared: System) -> None:
    task_id = shared.submit({"fail": "permanent"})
    shared.wait_for(task_id)

    def rows(**wanted: str) -> list[dict[str, object]]:
        return list(shared.client.get("/logs", params=wanted).json()["logs"])

    assert task_id in [row["task_id"] for row in rows(level="error")]
    assert {row["level"] for row in rows(level="error")} == {"error"}
    assert {row["task_id"] for row in rows(task_id=task_id)} == {task_id}
    assert rows(search="permanent error")
    assert not rows(search="nothing says this")
    refused = shared.client.get("/logs", params={"level": "loud", "limit": "0"})
    assert [one["field"] for one in refused.json()["errors"]] == ["limit", "level"]
    refused = shared.client.get("/logs", params={"task_id": "abc"})
    assert refused.json()["errors"] == [{"field": "task_id", "message": "a task's whole id is allowed"}]
