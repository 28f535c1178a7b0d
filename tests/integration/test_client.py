"""The client's retries against a server that loses replies, and its errors for invalid answers."""

import hashlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dtqs.client import ApiRefusal, ApiUnavailable, Client, Submission, TaskNotCompleted, WaitOver, calls
from dtqs.errors import ConfigError, NotFound, RequestError

TASK = {
    "task_id": "t", "task_type": "echo", "status": "completed", "priority": 5, "attempt": 1, "max_retries": 5,
    "payload": {}, "result": {"n": 1},
    "error": None, "tags": ["a"], "progress": None, "retry_of": None, "created_at": "2026-11-24T16:30:55.123456Z",
    "due_at": None,
    "started_at": "2026-11-24T16:30:56Z", "finished_at": "2026-11-24T16:30:57Z",
}  # fmt: skip
Answer = tuple[int, object]


class Server:
    """Answer each request from `answers` by its method and path.

    The first `lost` replies never come. `seen` lists the requests with body and headers. Each reply pauses for
    `pause_seconds` behind its head.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[Any], Answer]] = {}
        self.lost, self.seen = 0, list[tuple[str, Any, dict[str, str]]]()
        self.pause_seconds = 0.0
        self.has_etag = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._respond(json.loads(body) if self.headers.get("Content-Type") == "application/json" else body)

            def do_GET(self) -> None:
                self._respond(None)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

            def _respond(self, body: Any) -> None:
                ours.seen.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
                if ours.lost:
                    ours.lost -= 1
                    self.close_connection = True
                    return
                answer = ours.answers[f"{self.command} {self.path.partition('?')[0]}"]
                status, value = answer(body) if callable(answer) else answer
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if content.startswith((b"retry: ", b"event: ")):
                    self.send_header("Content-Type", "text/event-stream")
                if status == HTTPStatus.FOUND:
                    self.send_header("Location", "https://login.example/?next=secret")
                if ours.has_etag:
                    self.send_header("ETag", f'"{hashlib.sha256(b"whole").hexdigest()}"')
                self.end_headers()
                time.sleep(ours.pause_seconds)
                self.wfile.write(content)

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, "k", again_seconds=2) as one:
        yield one


def accepted(body: Any) -> Answer:
    tasks = [
        {"task_id": str(task["payload"]["n"]), "status": "pending", "links": {}}
        for task in (body if isinstance(body, list) else [body])
    ]
    return 202, tasks if isinstance(body, list) else tasks[0]


def test_a_cancel_whose_reply_was_lost_counts_as_done(server: Server, client: Client) -> None:
    server.lost = 1
    server.answers = {
        "POST /tasks/t/cancel": (409, {"title": "Conflict"}),
        "GET /tasks/t": (200, TASK | {"status": "cancelled"}),
    }
    assert client.cancel("t").status == "cancelled"


@pytest.mark.parametrize(("status", "lost"), [("cancelled", 0), ("completed", 1)])
def test_a_cancel_of_an_ended_task_is_refused(server: Server, client: Client, status: str, lost: int) -> None:
    server.lost = lost
    server.answers = {
        "POST /tasks/t/cancel": (409, {"title": "Conflict", "detail": status}),
        "GET /tasks/t": (200, TASK | {"status": status}),
    }
    with pytest.raises(ApiRefusal, match=status):
        client.cancel("t")


def test_a_submit_is_repeated_under_the_same_idempotency_key(server: Server, client: Client) -> None:
    server.lost = 2
    server.answers = {"POST /submit": accepted}
    assert client.submit("echo", {"n": 7}, priority=9, tags=["a"]).task_id == "7"
    assert [body for _, body, _ in server.seen] == [
        {"task_type": "echo", "payload": {"n": 7}, "priority": 9, "tags": ["a"]}
    ] * 3
    assert len({headers["idempotency-key"] for _, _, headers in server.seen}) == 1


def test_a_payload_that_is_no_object_is_left_to_the_api(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": (422, {"title": "Invalid"})}
    empty: Any = []
    calls: list[Callable[[], object]] = [
        lambda: client.submit("echo", empty),
        lambda: client.submit_and_wait("echo", empty),
        lambda: list(client.submit_stream("echo", empty)),
    ]
    for call in calls:
        with pytest.raises(ApiRefusal):
            call()
    assert [body["payload"] for _, body, _ in server.seen] == [[]] * 3


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel", "\udcff", "x" * 256])
def test_an_idempotency_key_that_no_request_carries_is_refused_at_once(
    server: Server, client: Client, key: str
) -> None:
    """An empty one often is an unset variable. A new key in its place would let a second submit make a second task."""
    calls: list[Callable[[], object]] = [
        lambda: client.submit("echo", idempotency_key=key),
        lambda: client.submit_and_wait("echo", idempotency_key=key),
        lambda: list(client.submit_stream("echo", idempotency_key=key)),
        lambda: client.submit_many([{"task_type": "echo"}], idempotency_key=key),
    ]
    for call in calls:
        with pytest.raises(RequestError, match=r"idempotency key .* is refused; allowed: 1 to 255 printable ASCII"):
            call()
    assert server.seen == []


def test_many_tasks_are_sent_in_arrays_of_a_thousand_each_under_its_own_key(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": accepted}
    tasks = [Submission("echo", {"n": n}) if n % 2 else {"task_type": "echo", "payload": {"n": n}} for n in range(1001)]
    assert [each.task_id for each in client.submit_many(tasks, idempotency_key="k")] == [str(n) for n in range(1001)]
    assert [(len(body), headers["idempotency-key"]) for _, body, headers in server.seen] == [(1000, "k"), (1, "k-1000")]
    assert client.submit_many([]) == []


def test_an_unreachable_server_is_given_up_in_time(server: Server) -> None:
    server.answers = {"GET /tasks/t": (503, {"title": "Service Unavailable", "detail": "PostgreSQL is away"})}
    with Client(server.url, again_seconds=0.3) as client, pytest.raises(ApiUnavailable, match="PostgreSQL is away"):
        client.task("t")
    assert 2 <= len(server.seen) <= 6


@pytest.mark.parametrize(("state", "words"), [("away", "PostgreSQL is away"), ("connected", "does not answer$")])
def test_a_silent_server_is_given_up_and_its_readiness_is_asked_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, state: str, words: str
) -> None:
    monkeypatch.setattr(calls, "READ_SECONDS", 0.5)
    end = threading.Event()

    def silence(_: object) -> Answer:
        end.wait(60)
        return 200, TASK

    server.answers = {"GET /tasks/t": silence, "GET /readyz": (503, {"postgresql": {"state": state}})}
    began = time.monotonic()
    try:
        with Client(server.url, again_seconds=0.1) as client, pytest.raises(ApiUnavailable, match=words):
            client.task("t")
    finally:
        end.set()
    assert time.monotonic() - began < 5


def test_a_frozen_server_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "READ_SECONDS", 0.5)
    monkeypatch.setattr(calls, "PROBE_SECONDS", 0.5)
    frozen = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{frozen.getsockname()[1]}"
    with frozen, Client(url, again_seconds=0.1) as client, pytest.raises(ApiUnavailable, match=r"does not answer$"):
        client.task("t")


def test_reads_and_submits_wait_less_than_a_minute() -> None:
    assert calls.READ_SECONDS + calls.PROBE_SECONDS < 12
    assert calls.WRITE_SECONDS + calls.PROBE_SECONDS < 21


def test_a_refusal_of_a_request_without_key_names_the_missing_variable(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DTQS_API_KEY", raising=False)
    server.answers = {"GET /tasks/t": (401, {"title": "Unauthorized", "detail": "an API key is needed"})}
    with (
        Client(server.url) as client,
        pytest.raises(ApiRefusal, match=r"an API key is needed\n  no key was sent to .*: DTQS_API_KEY is not set"),
    ):
        client.task("t")
    with Client(server.url, "wrong") as client, pytest.raises(ApiRefusal, match=r"an API key is needed$"):
        client.task("t")


def test_a_refusal_is_not_repeated_and_has_its_fields(server: Server, client: Client) -> None:
    fields = [{"field": "payload.n", "message": "x"}]
    server.answers = {"POST /submit": (422, {"title": "Unprocessable", "errors": fields})}
    with pytest.raises(ApiRefusal) as caught:
        client.submit("echo", {})
    assert (caught.value.status, caught.value.problem["errors"], len(server.seen)) == (422, fields, 1)


def test_an_answer_that_is_no_json_is_an_error(server: Server) -> None:
    server.answers = {"GET /tasks/t": (200, b"<html>")}
    with Client(server.url, again_seconds=0) as client, pytest.raises(ApiUnavailable, match="a body that is not JSON"):
        client.task("t")


@pytest.mark.parametrize(
    ("answer", "found"),
    [((200, b"<html>"), "answered 200 with no content type"), ((302, b""), "answered 302 with a redirect to")],
    ids=["a page", "a redirect"],
)
def test_a_wait_ends_at_once_if_another_program_answers(
    server: Server, client: Client, answer: Answer, found: str
) -> None:
    server.answers = {"GET /sse": answer, "GET /tasks/t": answer, "POST /submit": (202, RECEIPT)}
    waits: list[Callable[[], object]] = [
        lambda: client.wait("t"),
        lambda: client.result("t"),
        lambda: list(client.stream("t")),
        lambda: list(client.submit_stream("echo")),
    ]
    for wait in waits:
        began = time.monotonic()
        with pytest.raises(ApiUnavailable, match=found) as caught:
            wait()
        assert f"{server.url}/sse answered" in str(caught.value)
        assert time.monotonic() - began < 1
    with pytest.raises(ApiUnavailable, match=f"{server.url}/tasks/t answered {answer[0]}"):
        list(client.logs("t", following=True))


@pytest.mark.parametrize("answer", [(200, b"<html>"), (302, b"")], ids=["a page", "a redirect"])
def test_another_program_is_asked_once(server: Server, client: Client, answer: Answer) -> None:
    server.answers = {"POST /submit": answer, "GET /tasks/t": answer}
    calls: list[Callable[[], object]] = [
        lambda: client.submit_and_wait("echo"),
        lambda: client.submit("echo"),
        lambda: client.task("t"),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(ApiUnavailable, match=f"answered {answer[0]}"):
            call()
        assert len(server.seen) == number


@pytest.mark.parametrize("length", [249, 250, 251, 255])
def test_the_parts_of_a_long_array_have_keys_that_the_api_takes(server: Server, client: Client, length: int) -> None:
    server.answers = {"POST /submit": accepted}
    tasks = [Submission("echo", {"n": n}) for n in range(2001)]
    for _ in range(2):
        assert len(client.submit_many(tasks, idempotency_key="k" * length)) == 2001
    keys = [headers["idempotency-key"] for _, _, headers in server.seen]
    assert keys[:3] == keys[3:], "a repetition has the same keys"
    assert len(set(keys)) == 3
    assert all(len(key) <= 255 for key in keys)


@pytest.mark.parametrize("answer", [(200, {"status": "UP"}), (200, ["a"]), (200, 5), (302, TASK), (204, b"")])
def test_an_answer_of_another_program_is_an_error(server: Server, answer: Answer) -> None:
    paths = ("GET /tasks/t", "GET /tasks", "GET /tasks/t/logs", "GET /openapi.json", "POST /submit", "POST /files",
             "POST /tasks/t/cancel", "POST /tasks/t/retry")  # fmt: skip
    server.answers = dict.fromkeys(paths, answer)
    with Client(server.url, again_seconds=0) as client:
        calls: list[Callable[[], object]] = [
            lambda: client.task("t"),
            lambda: client.page(),
            lambda: list(client.logs("t")),
            lambda: client.task_types(),
            lambda: client.submit("echo"),
            lambda: client.submit_and_wait("echo"),
            lambda: list(client.submit_stream("echo")),
            lambda: client.upload(b"x", name="x"),
            lambda: client.cancel("t"),
            lambda: client.retry("t"),
        ]
        for call in calls:
            with pytest.raises(ApiUnavailable, match=f"{server.url}/[a-z./]+ answered {answer[0]} with"):
                call()
    with Client(server.url, again_seconds=0, gather=True) as client, pytest.raises(ApiUnavailable, match="answered"):
        client.submit("echo")


@pytest.mark.parametrize(("status", "content"), [(302, b""), (200, b"<html>")])
def test_the_page_of_another_program_is_not_saved_as_a_download(
    server: Server, tmp_path: Path, status: int, content: bytes
) -> None:
    server.has_etag = False
    server.answers = {"GET /files/f": (status, content)}
    with (
        Client(server.url, again_seconds=0) as client,
        pytest.raises(ApiUnavailable, match=f"/files/f answered {status}"),
    ):
        client.download("f", tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_cut_continues_after_its_last_event(server: Server, client: Client) -> None:
    def events(_: object) -> Answer:
        last = server.seen[-1][2].get("last-event-id")
        if last is None:
            return (
                200,
                b'retry: 1\n\nevent: status\nid: 1\ndata: {"task_id": "t", "status": "in_progress"}\n\n'
                b"event: progress\nid: 2\nda",
            )
        return 200, b"event: completed\nid: 3\ndata: " + json.dumps(TASK).encode() + b"\n\n"

    server.answers = {"GET /sse": events}
    lost: list[str] = []
    seen = []
    for event in client.stream("t", lost=lost.append, wait_seconds=5):
        seen.append((event.name, event.event_id))
        if event.task:
            break
    assert (seen, lost, event.task and event.task.result) == (
        [("status", "1"), ("completed", "3")],
        ["the stream ended"],
        {"n": 1},
    )
    assert [headers.get("last-event-id") for _, _, headers in server.seen] == [None, "1"]


RECEIPT = {"task_id": "t", "status": "pending", "links": {}}
ENDS = b"event: completed\nid: 3\ndata: " + json.dumps(TASK).encode() + b"\n\n"
BEGINS = b"retry: 1\n\nevent: accepted\ndata: " + json.dumps(RECEIPT).encode() + b"\n\n"


def requests(server: Server) -> list[str]:
    return [path.partition("?")[0] for path, _, _ in server.seen]


def test_a_submit_that_waits_is_one_request(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": (200, TASK)}
    assert client.submit_and_wait("echo", {"n": 1}, tags=["a"], wait_seconds=7).result == {"n": 1}
    ((path, body, headers),) = server.seen
    assert (path, body["tags"], headers["prefer"]) == ("/submit", ["a"], "wait=7")


@pytest.mark.parametrize("wait_seconds", [0.9, 30])
def test_a_stream_ends_with_the_last_outcome(server: Server, client: Client, wait_seconds: float) -> None:
    """Not with a reconnect, which is behind the limit of the wait, or reported as a loss."""
    both = ENDS + ENDS.replace(b'"t"', b'"u"')
    server.answers = {"GET /sse": (200, b"retry: 60000\n\n" + both)}
    lost: list[str] = []
    events = client.stream(["t", "U"], wait_seconds=wait_seconds, lost=lost.append)
    assert ([event.task_id for event in events], lost, len(server.seen)) == (["t", "u"], [], 1)
    assert [task.task_id for task in client.wait_many(["u", "t"], wait_seconds=wait_seconds)] == ["u", "t"]


@pytest.mark.parametrize("lost", [0, 1], ids=["an API that does not wait", "a lost reply"])
def test_a_submit_that_cannot_wait_goes_on_with_a_stream(server: Server, client: Client, lost: int) -> None:
    server.lost = lost
    server.answers = {"POST /submit": (202, RECEIPT), "GET /sse": (200, ENDS)}
    assert client.submit_and_wait("echo").task_id == "t"
    assert requests(server) == ["/submit"] * (1 + lost) + ["/sse"]
    assert len({headers["idempotency-key"] for _, _, headers in server.seen[:-1]}) == 1


@pytest.mark.parametrize(
    ("submit", "stream", "asked"),
    [
        ((200, BEGINS + ENDS), (500, b""), ["/submit"]),
        ((200, BEGINS), (200, ENDS), ["/submit", "/sse"]),
        ((200, b"retry: 1\n\n"), (200, ENDS), ["/submit", "/submit", "/sse"]),
        ((202, RECEIPT), (200, ENDS), ["/submit", "/sse"]),
    ],
    ids=["in one request", "cut after the receipt", "cut before the receipt", "an API that does not follow"],
)
def test_a_followed_submit_yields_its_receipt_and_its_outcome(
    server: Server, client: Client, submit: Answer, stream: Answer, asked: list[str]
) -> None:
    # a submit after one that was cut before the receipt is answered by an API that does not follow
    server.answers = {"POST /submit": lambda _: (202, RECEIPT) if len(server.seen) > 1 else submit, "GET /sse": stream}
    assert [(one.name, one.task_id) for one in client.submit_stream("echo", wait_seconds=5)] == [
        ("accepted", "t"),
        ("completed", "t"),
    ]
    assert requests(server) == asked
    assert len({headers.get("idempotency-key") for path, _, headers in server.seen if path == "/submit"}) == 1


@pytest.mark.parametrize("receives", ["a stream that is cut", "a receipt", "a wait that is over"])
def test_a_key_that_may_not_read_follows_its_submit_by_the_ticket(
    server: Server, client: Client, receives: str
) -> None:
    def stream(_: object) -> Answer:
        return (200, ENDS) if server.seen[-1][0].endswith("&ticket=a.b") else (403, {"title": "Forbidden"})

    receipt = RECEIPT | {"links": {"sse": "https://elsewhere.example/sse?task_id=t&ticket=a.b"}}
    begins = b"retry: 1\n\nevent: accepted\ndata: " + json.dumps(receipt).encode() + b"\n\n"
    server.answers = {
        "POST /submit": (200, begins) if receives == "a stream that is cut" else (202, receipt),
        "GET /sse": stream,
    }
    if receives == "a wait that is over":
        assert client.submit_and_wait("echo", wait_seconds=5).result == {"n": 1}
    else:
        assert [one.name for one in client.submit_stream("echo", wait_seconds=5)] == ["accepted", "completed"]


def test_a_stream_in_the_answer_of_a_submit_may_pause_for_longer_than_an_answer(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "WRITE_SECONDS", 0.5)
    server.pause_seconds = 1.0
    server.answers = {"POST /submit": (200, BEGINS + ENDS)}
    assert [one.name for one in client.submit_stream("echo", wait_seconds=9)] == ["accepted", "completed"]
    assert requests(server) == ["/submit"]


def test_a_followed_submit_whose_answer_is_no_json_is_an_error(server: Server) -> None:
    server.answers = {"POST /submit": (200, b"<html>")}
    with Client(server.url, again_seconds=0) as client, pytest.raises(ApiUnavailable, match="a body that is not JSON"):
        next(client.submit_stream("echo"))


def test_a_refused_submit_that_follows_names_its_fields(server: Server, client: Client) -> None:
    server.answers = {"POST /submit": (422, {"title": "Unprocessable", "errors": [{"field": "x", "message": "y"}]})}
    with pytest.raises(ApiRefusal, match="x: y"):
        next(client.submit_stream("echo"))


def test_a_wait_for_a_task_that_ended_long_ago_reads_the_task(server: Server, client: Client) -> None:
    server.answers = {"GET /sse": (204, b""), "GET /tasks/t": (200, TASK)}
    task = client.wait("t")
    assert (task.ended, task.tags, task.started_at and task.started_at.isoformat()) == (
        True,
        ("a",),
        "2026-11-24T16:30:56+00:00",
    )
    assert client.result("t") == {"n": 1}


def test_a_missing_result_is_an_error(server: Server, client: Client) -> None:
    server.answers = {
        "GET /sse": (204, b""),
        "GET /tasks/t": (200, TASK | {"status": "failed", "error": {"type": "E", "message": "no luck"}}),
    }
    with pytest.raises(TaskNotCompleted, match="no luck"):
        client.result("t")


def test_a_wait_ends_at_its_limit(server: Server, client: Client) -> None:
    server.answers = {"GET /sse": (200, b"retry: 10\n\n")}
    with pytest.raises(WaitOver):
        client.wait("t", wait_seconds=0.3)


@pytest.mark.parametrize("seconds", [math.inf, 1e10])
def test_a_wait_may_have_no_limit(server: Server, seconds: float) -> None:
    """A lock and a timer take no infinity. An error in the thread of a timer would be a warning, which fails."""
    server.answers = {
        "POST /submit": accepted,
        "GET /sse": (200, ENDS),
        "GET /tasks/t": (200, TASK),
        "GET /tasks/t/logs": (200, {"logs": [], "next": None}),
    }
    with Client(server.url, again_seconds=seconds, gather=True) as client:
        assert client.wait("t", wait_seconds=seconds).task_id == "t"
        assert list(client.logs("t", following=True, wait_seconds=seconds)) == []
        assert client.submit("echo", {"n": 1}).task_id == "1"


def test_a_limit_that_no_time_reaches_is_refused(client: Client) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.wait("t", wait_seconds=math.nan),
        lambda: list(client.logs("t", following=True, wait_seconds=math.nan)),
        lambda: list(client.submit_stream("echo", wait_seconds=math.nan)),
        lambda: client.submit_and_wait("echo", wait_seconds=math.nan),
    ]
    for call in calls:
        with pytest.raises(RequestError, match="wait_seconds = nan"):
            call()
    with pytest.raises(ConfigError, match="again_seconds = nan"):
        Client("http://127.0.0.1", again_seconds=math.nan)


def test_a_download_is_stored_whole_or_not_at_all(server: Server, tmp_path: Path) -> None:
    server.answers = {
        "GET /files/f": (200, b"whole"),
        "GET /files/g": (200, b"whol"),
        "GET /files/h": (404, {"title": "Not Found"}),
    }
    with Client(server.url, again_seconds=0) as client:
        assert client.download("upload:f", tmp_path / "f").read_bytes() == b"whole"
        with pytest.raises(ApiUnavailable, match="is damaged"):
            client.download("g", tmp_path / "g")
        with pytest.raises(ApiRefusal):
            client.download("h", tmp_path / "h")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_ids_cannot_lead_to_other_paths(client: Client) -> None:
    for call in (client.task, client.cancel, client.retry, client.wait):
        with pytest.raises(NotFound):
            call("../files/x")
    with pytest.raises(NotFound):
        client.download("s3://bucket/x", "x")


def test_bytes_and_files_are_uploaded(server: Server, client: Client, tmp_path: Path) -> None:
    server.answers = {
        "POST /files": (201, {"uri": "upload:1", "size_bytes": 3, "sha256": "x", "media_type": "text/plain"})
    }
    path, sent = tmp_path / "a b.txt", list[int]()
    path.write_bytes(b"abc")
    odd = tmp_path / os.fsdecode(b"a\xff.txt")
    odd.write_bytes(b"abc")
    assert client.upload(path, sent=sent.append).uri == client.upload(b"abc", name="a b.txt").uri == "upload:1"
    assert sent == [3]
    assert client.upload(odd).uri == "upload:1"
    assert server.seen.pop()[0] == "/files?name=a%EF%BF%BD.txt"
    assert {(url, body, headers["content-type"]) for url, body, headers in server.seen} == {
        ("/files?name=a+b.txt", b"abc", "text/plain")
    }
