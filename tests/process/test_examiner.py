"""The process that examines large bodies: it has a processor time limit, takes one request at a time, is replaced."""

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey

from dtqs.api.submit.aside import Aside
from dtqs.api.submit.examine import Examiner, Inline
from dtqs.api.submit.turns import Turns
from dtqs.errors import ExaminerBusy, Invalid, Problem
from tests.support.helpers import eventually


def work(argument: str) -> str:
    if argument == "spin":
        until = time.monotonic() + 5
        while time.monotonic() < until:
            pass
    if argument == "invalid":
        raise Invalid([Problem("a", "is wrong")])
    if argument == "odd":
        raise LookupError("of the processor")
    if argument == "die":
        os._exit(1)
    return f"{argument} by {os.getpid()}"


def made(turns: Turns | None = None) -> Aside[str, str]:
    return Aside(work, turns or Turns(0.2, 1 << 20), limit_seconds=0.5)


def ask(one: Aside[str, str], argument: str) -> str:
    return one.ask(argument, None, len(argument))


@pytest.fixture
def aside() -> Iterator[Aside[str, str]]:
    one = made()
    one.start()
    yield one
    one.stop()


def test_the_examiner_works_in_another_process(aside: Aside[str, str]) -> None:
    answer, _, pid = ask(aside, "x" * 1_000_000).partition(" by ")
    assert answer == "x" * 1_000_000
    assert int(pid) != os.getpid()


def test_errors_arrive_as_they_were_raised(aside: Aside[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        ask(aside, "invalid")
    assert caught.value.problems == (Problem("a", "is wrong"),)
    with pytest.raises(RuntimeError, match="LookupError: of the processor"):
        ask(aside, "odd")


def test_the_loop_runs_during_an_examination_and_every_wait_has_a_limit(aside: Aside[str, str]) -> None:
    ask(aside, "warm")
    turns: list[float] = []

    def tick() -> None:
        while len(turns) < 60:
            gevent.sleep(0.01)
            turns.append(time.monotonic())

    ticking = gevent.spawn(tick)
    first = gevent.spawn(ask, aside, "spin")
    gevent.sleep(0.01)
    with pytest.raises(ExaminerBusy, match="wait"):
        ask(aside, "second")
    with pytest.raises(ExaminerBusy, match="within"):
        first.get()
    ticking.join()
    assert len(turns) == 60
    assert ask(aside, "again").startswith("again by ")


def test_a_dead_examiner_is_replaced(aside: Aside[str, str]) -> None:
    with pytest.raises(ExaminerBusy, match="died"):
        ask(aside, "die")
    assert ask(aside, "again").startswith("again by ")


def test_a_second_death_of_the_examiner_delays_the_next_start(aside: Aside[str, str]) -> None:
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(ExaminerBusy, match="died"):
            ask(aside, "die")
    assert time.monotonic() - began > 0.9


def test_a_lack_of_file_descriptors_is_reported_as_busy() -> None:
    one, (soft, hard) = made(), resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(ExaminerBusy, match="started"):
            ask(one, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_failed_fork_is_reported_as_busy_and_leaves_no_open_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    gevent.sleep(0)  # gevent opens its loop
    one, before = made(), os.listdir("/proc/self/fd")
    monkeypatch.setitem(monkey.saved.setdefault("os", {}), "fork", refuse)  # root has no process limit
    with pytest.raises(ExaminerBusy, match="started"):
        ask(one, "x")
    assert os.listdir("/proc/self/fd") == before


TALKER = """
import os, socket, sys
from dtqs import log, sink
from dtqs.api.submit.aside import Aside
from dtqs.api.submit.turns import Turns

def work(path):
    log.logging.getLogger("validator").info("logged")
    print("printed")
    with open(path, "w+") as file:  # gets the lowest free file descriptor
        print("printed again")
        log.logging.getLogger("validator").info("logged again")
        file.seek(0)
        return file.read()

log.set_up("info", "text", "api")
one = Aside(work, Turns(1.0, 100), 5.0)
print("answer", repr(one.ask(sys.argv[1], None, 1)))
sink.finish(5.0)
"""


class SpinningIntake:
    """Stands for the validation of a slow payload; it returns the process that it ran in."""

    def needed(self, task_type: str, payload: Any) -> dict[str, Problem]:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        return {f"{task_type} of {len(payload['text'])}": Problem("payload", str(os.getpid()))}


def test_a_large_payload_is_validated_in_the_examiner_before_a_retry() -> None:
    stand_in: Any = SpinningIntake()
    one, turns = Examiner(Inline(stand_in, stand_in), 5.0), 0
    one.start()

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    beside = gevent.spawn(turn)
    found = one.needed("mail", {"text": "a" * 300_000}, "key")
    beside.kill()
    one.stop()
    ((named, problem),) = found.items()
    assert named == "mail of 300000"
    assert int(problem.message) != os.getpid()
    assert turns > 10, "the loop goes on meanwhile"


def test_a_small_payload_is_validated_in_the_api_process() -> None:
    stand_in: Any = SpinningIntake()
    ((_, problem),) = Examiner(Inline(stand_in, stand_in), 5.0).needed("mail", {"text": "a"}, "key").items()
    assert int(problem.message) == os.getpid()


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_prints_and_logs_of_the_examiner_arrive_in_the_log_and_no_other_file(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TALKER, str(tmp_path / "own")]
    if kind == "file":
        with (tmp_path / "out").open("wb") as out:
            subprocess.run(command, stdout=out, stderr=out, check=True, timeout=30)
        printed = (tmp_path / "out").read_text()
    elif kind == "pipe":
        printed = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=30
        ).stdout
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run(command, stdout=theirs.fileno(), stderr=theirs.fileno(), check=True, timeout=30)
            printed = ours.recv(1 << 16).decode()
    for line in ("logged", "printed", "printed again", "logged again", "answer ''"):
        assert f"{line}\n" in printed


def test_the_examiner_ends_with_its_parent_and_ignores_signals() -> None:
    one = made()
    one.start()
    pid = int(ask(one, "x").partition(" by ")[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)  # a terminal's Ctrl-C reaches it too; only its parent may end it
    assert ask(one, "x").endswith(str(pid))
    one.stop()
    one.stop()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="the process is gone")
