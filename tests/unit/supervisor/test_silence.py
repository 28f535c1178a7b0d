"""Facts about a silent process: its threads, its stacks, and whether it got processor time."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtqs.supervisor import silence
from dtqs.supervisor.silence import Inquest, ThreadState, is_starved, read_threads
from tests.support.helpers import eventually


def thread(state: str, ran: float = 1.0, waited: float = 0.0) -> silence.Threads:
    return {"1": ThreadState("limits", state, ran, waited, "")}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (thread("S"), thread("S"), False),
        (thread("T"), thread("T"), False),
        (thread("R"), thread("R", ran=2.0), False),
        (thread("R"), thread("R"), True),
        (thread("S"), thread("R", waited=0.6), True),
        (thread("D"), thread("D"), True),
        (thread("D"), thread("S"), False),
        (thread("R", ran=0.0), thread("R", ran=0.0), False),
        ({}, thread("D"), False),
    ],
)
def test_a_starved_thread_is_distinguished_from_one_that_sleeps_or_works(
    before: silence.Threads, after: silence.Threads, expected: bool
) -> None:
    assert is_starved(before, after, 1.0) is expected


def test_the_threads_of_a_process_are_seen() -> None:
    found = read_threads(os.getpid())
    assert str(os.getpid()) in found
    assert read_threads(1 << 30) == {}


@pytest.fixture
def child(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that sleeps, and writes its stacks on request."""
    code = (
        "import faulthandler, signal, sys, time\nfaulthandler.register(signal.SIGUSR2, file=open(sys.argv[1], 'w'))\n"
        "print(flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "stacks-a-1")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def test_a_silent_child_is_asked_for_its_stacks_before_it_is_killed(
    child: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    inquest = Inquest(child.pid, 0.0, 100.0)
    assert inquest.report(100.5, 60.0) is None
    eventually(
        lambda: (
            "time.sleep" in (tmp_path / "stacks-a-1").read_text() or "<string>" in (tmp_path / "stacks-a-1").read_text()
        ),
        10,
        "the child writes its stacks",
    )
    assert " S" in str(inquest.report(101.5, 60.0))
    kept = silence.keep_stacks(tmp_path, "a/1", child.pid)
    assert kept == str(tmp_path / f"stacks-a-1-of-{child.pid}")
    assert silence.keep_stacks(tmp_path, "a/1", child.pid) is None


def test_a_starved_child_gets_more_time_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "read_threads", lambda pid: thread("D"))
    inquest = Inquest(os.getpid(), 0.0, 60.0)
    assert inquest.report(62.0, 60.0) is None
    assert inquest.report(170.0, 60.0) is None
    assert inquest.report(181.0, 60.0) == "limits D"


def test_a_child_without_a_handler_survives_the_request_for_stacks() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        Inquest(process.pid, 0.0, 0.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
