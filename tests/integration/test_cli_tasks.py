"""The commands tasks, cancel and retry against a server with known answers: their searches, messages and endings."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from dtqs.cli import bulk, main
from dtqs.uuid7 import first_uuid7
from tests.integration.test_client import TASK, Answer, Server

NOON = 1_793_102_400.0  # 2026-10-27T12:00:00Z
IDS = [first_uuid7(NOON - minute * 60) for minute in range(200)]


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def dtqs(server: Server, *words: str) -> Result:
    return CliRunner().invoke(main, words, env={"DTQS_URL": server.url, "DTQS_API_KEY": "k"})


def pages(server: Server, found_at: int | None) -> Any:
    """Return pages of a listing, each a minute of tasks older. Only page `found_at` has a match, and it is the last."""

    def answer(_: object) -> Answer:
        after = parse_qs(urlsplit(server.seen[-1][0]).query).get("after")
        place = IDS.index(after[0]) + 1 if after else 0
        if place == found_at:
            return 200, {"tasks": [TASK | {"task_id": "old"}], "next": None, "searched_to": None}
        return 200, {"tasks": [], "next": IDS[place % len(IDS)], "searched_to": "2026-10-27T12:00:00Z"}

    return answer


def test_a_listing_continues_through_pages_without_a_match(server: Server) -> None:
    server.answers = {"GET /tasks": pages(server, 150)}
    ended = dtqs(server, "tasks", "--tag", "x")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[1].split()[0] == "old"
    assert ended.stderr == ""


def test_a_listing_that_stops_its_search_names_the_time_that_it_reached(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtqs.cli.tasks.LOOK_SECONDS", 0.0)
    server.answers = {"GET /tasks": pages(server, None)}
    ended = dtqs(server, "tasks", "--tag", "x")
    assert ended.exit_code == 0
    assert ended.stderr == f"searched back to 2026-10-27T12:00:00Z; for older tasks: --after {IDS[0]}\n"


def test_a_full_listing_names_the_place_to_continue(server: Server) -> None:
    server.answers = {"GET /tasks": (200, {"tasks": [TASK], "next": IDS[3]})}
    assert dtqs(server, "tasks", "--limit", "1").stderr == f"there may be more tasks: --after {IDS[3]}\n"


def test_a_search_without_a_match_is_reported(server: Server) -> None:
    server.answers = {"GET /tasks": (200, {"tasks": [], "next": None})}
    for command in (("retry", "--failed"), ("cancel", "--pending")):
        ended = dtqs(server, *command)
        assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "no task matches\n")
    assert json.loads(dtqs(server, "retry", "--failed", "--json").stdout) == []


def test_more_matches_than_the_limit_are_reported(server: Server) -> None:
    server.answers = {"GET /tasks": (200, {"tasks": [TASK | {"task_id": each} for each in "ab"], "next": None})}
    server.answers |= {
        f"POST /tasks/{each}/retry": (
            200,
            {"task_id": f"new-{each}", "status": "in_progress" if each == "a" else "pending", "links": {}},
        )
        for each in "ab"
    }
    ended = dtqs(server, "retry", "--failed", "--limit", "1")
    assert (ended.stdout, ended.stderr) == ("new-a in_progress\n", "more tasks match than --limit 1\n")
    ended = dtqs(server, "retry", "--failed", "--limit", "2")
    assert (ended.stdout, ended.stderr) == ("new-a in_progress\nnew-b pending\n", "")


def test_a_retry_of_all_failed_tasks_leaves_out_those_that_were_retried_before(server: Server) -> None:
    """Otherwise each repetition would choose the same newest tasks again, up to the limit."""
    server.answers = {
        "GET /tasks": (200, {"tasks": [TASK | {"task_id": "a"}], "next": None}),
        "POST /tasks/a/retry": (200, {"task_id": "new", "status": "pending", "links": {}}),
    }
    assert dtqs(server, "retry", "--failed").stdout == "new pending\n"
    assert parse_qs(urlsplit(server.seen[0][0]).query)["retried"] == ["no"]

    def earlier(_: object) -> Answer:
        if "retried" in server.seen[-1][0]:
            return 422, {"errors": [{"field": "retried", "message": "no such parameter"}]}
        return 200, {"tasks": [TASK | {"task_id": "a"}], "next": None}

    server.answers["GET /tasks"] = earlier
    assert dtqs(server, "retry", "--failed").stdout == "new pending\n", "an API of an earlier version"


def test_the_question_names_the_number_of_tasks() -> None:
    assert bulk.question("cancel", 1, False) == "cancel 1 task?"
    assert bulk.question("cancel", 1000, False) == "cancel 1,000 tasks?"
    assert bulk.question("retry", 1000, True) == "retry 1,000 tasks, and leave other tasks that match (--limit)?"


def test_a_running_task_is_not_reported_as_cancelled_yet(server: Server) -> None:
    server.answers = {
        "POST /tasks/t/cancel": (202, TASK | {"status": "in_progress"}),
        "POST /tasks/u/cancel": (200, TASK | {"task_id": "u", "status": "cancelled"}),
    }
    assert dtqs(server, "cancel", "t", "u").stdout == "t in_progress (is being interrupted)\nu cancelled\n"


def test_tasks_are_cancelled_even_if_nobody_reads_the_output(server: Server) -> None:
    ids = [f"t{number}" for number in range(5)]
    server.answers = {
        f"POST /tasks/{each}/cancel": (200, TASK | {"task_id": each, "status": "cancelled"}) for each in ids[:4]
    }
    server.answers["POST /tasks/t4/cancel"] = (409, {"title": "Conflict"})
    reading, writing = os.pipe()
    os.close(reading)
    environment = {
        **os.environ,
        "DTQS_URL": server.url,
        "DTQS_API_KEY": "k",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with os.fdopen(writing, "wb") as unread:
        ended = subprocess.run(
            [sys.executable, "-m", "dtqs", "cancel", *ids],
            stdout=unread,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (2, "t4: Conflict\n")
    assert [path for path, _, _ in server.seen] == [f"/tasks/{each}/cancel" for each in ids]


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("completed", 0)])
def test_the_exit_status_tells_the_outcome_even_if_nobody_reads_the_output(
    server: Server, status: str, code: int
) -> None:
    server.answers = {"GET /tasks/t": (200, TASK | {"status": status})}
    reading, writing = os.pipe()
    os.close(reading)
    environment = {
        **os.environ,
        "DTQS_URL": server.url,
        "DTQS_API_KEY": "k",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with os.fdopen(writing, "wb") as unread:
        ended = subprocess.run(
            [sys.executable, "-m", "dtqs", "task", "t"],
            stdout=unread,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (code, "")


def test_an_outage_in_the_middle_of_many_changes_leaves_the_answers_of_the_others(server: Server) -> None:
    server.answers = {f"POST /tasks/{each}/cancel": (200, TASK | {"task_id": each}) for each in "ab"}
    server.answers["POST /tasks/c/cancel"] = (302, {})
    ended = dtqs(server, "cancel", "a", "b", "c", "d", "--json")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert [task["task_id"] for task in json.loads(ended.stdout)] == ["a", "b"]
    assert "answered 302" in ended.stderr


@pytest.mark.parametrize("order", ["fc", "cf"])
def test_a_forbidden_change_sets_the_status_whatever_else_is_refused(server: Server, order: str) -> None:
    server.answers = {
        "POST /tasks/c/cancel": (409, {"title": "Conflict"}),
        "POST /tasks/f/cancel": (403, {"title": "Forbidden"}),
    }
    assert dtqs(server, "cancel", *order).exit_code == os.EX_NOPERM


def started(server: Server, *words: str, stderr: int, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    places = {"DTQS_URL": server.url, "DTQS_API_KEY": "k", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "dtqs", *words]
    return subprocess.Popen(command, stdout=stdout, stderr=stderr, text=True, env={**os.environ, **places})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_in_the_middle_of_many_changes_leaves_the_answers_too(server: Server, number: signal.Signals) -> None:
    held, end = threading.Event(), threading.Event()

    def hold(_: object) -> Answer:
        held.set()
        end.wait(30)
        return 200, TASK

    server.answers = {"POST /tasks/a/cancel": (200, TASK | {"task_id": "a"}), "POST /tasks/b/cancel": hold}
    with started(server, "cancel", "a", "b", "--json", stderr=subprocess.DEVNULL) as running:
        try:
            assert held.wait(30)
            running.send_signal(number)
            output, _ = running.communicate(timeout=30)
        finally:
            end.set()
    assert running.returncode == 128 + number
    assert [task["task_id"] for task in json.loads(output)] == ["a"]


@pytest.mark.parametrize("words", [["submit", "echo", "--wait"], ["submit", "echo", "x=@/proc/self/environ"]])
def test_sigterm_shows_the_cursor_of_the_terminal_again(server: Server, tmp_path: Path, words: list[str]) -> None:
    end = threading.Event()

    def hold(_: object) -> Answer:
        end.wait(30)
        return 200, {}

    def events(_: object) -> Answer:
        return 200, b"event: accepted\ndata: %s\n\n" % json.dumps({"task_id": "t", "links": {}}).encode()

    server.answers = {"POST /submit": events, "GET /sse": hold, "POST /files": hold}
    (tmp_path / "file").write_bytes(b"x" * 1000)
    words = [word.replace("/proc/self/environ", str(tmp_path / "file")) for word in words]
    ours, theirs = os.openpty()
    shown = b""
    try:
        with started(server, *words, stderr=theirs, stdout=subprocess.DEVNULL) as running:
            while b"\x1b[?25l" not in shown:
                shown += os.read(ours, 4096)
            running.terminate()
            assert running.wait(30) == 128 + signal.SIGTERM
        os.set_blocking(ours, False)
        with suppress(BlockingIOError):
            while True:
                shown += os.read(ours, 4096)
    finally:
        end.set()
        os.close(ours)
        os.close(theirs)
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


LATIN = {"PYTHONIOENCODING": "latin-1"}
"""The encoding of standard streams under a locale such as de_DE@euro."""


def run(server: Server, *words: str, standard_input: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    places = {"DTQS_URL": server.url, "DTQS_API_KEY": "k", "PYTHONPATH": str(Path(__file__).parents[2]), **LATIN}
    command = [sys.executable, "-m", "dtqs", *words]
    return subprocess.run(
        command, input=standard_input, capture_output=True, env={**os.environ, **places}, timeout=60, check=False
    )


def test_json_on_standard_input_is_utf_8_in_each_locale(server: Server) -> None:
    server.answers = {"POST /submit": (202, {"task_id": "t", "status": "pending", "links": {}})}
    ended = run(server, "submit", "echo", "-p", "@-", standard_input='{"name": "é ł"}'.encode())
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [body["payload"] for _, body, _ in server.seen] == [{"name": "é ł"}]
    ended = run(server, "submit", "echo", "-p", "@-", standard_input=b'{"name": "\xe9"}')
    assert (ended.returncode, b"this is not UTF-8 text" in ended.stderr) == (2, True)


def test_a_result_beyond_the_locale_is_shown_and_stays_json(server: Server) -> None:
    server.answers = {"GET /tasks/t": (200, TASK | {"result": {"name": "é ł 😀"}})}
    for words in (["task", "t"], ["task", "t", "--json"]):
        ended = run(server, *words)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert b"\\u0142 \\ud83d\\ude00" in ended.stdout
    assert json.loads(ended.stdout.decode("latin-1"))["result"] == {"name": "é ł 😀"}
