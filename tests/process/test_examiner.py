"""The process that examines large bodies: its own processor time, one request at a time, and a new one after its death."""

import os
import signal
import time
from collections.abc import Iterator

import gevent
import pytest

from dtqs.api.aside import Aside
from dtqs.errors import ExaminerBusy, Invalid, Problem
from tests.helpers import eventually


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


@pytest.fixture
def aside() -> Iterator[Aside[str, str]]:
    one: Aside[str, str] = Aside(work, patience_seconds=0.2, limit_seconds=0.5)
    one.start()
    yield one
    one.stop()


def test_it_works_in_another_process(aside: Aside[str, str]) -> None:
    said, _, pid = aside.ask("x" * 1_000_000).partition(" by ")
    assert said == "x" * 1_000_000
    assert int(pid) != os.getpid()


def test_what_is_wrong_arrives_as_it_was_raised(aside: Aside[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        aside.ask("invalid")
    assert caught.value.problems == (Problem("a", "is wrong"),)
    with pytest.raises(RuntimeError, match="LookupError: of the processor"):
        aside.ask("odd")


def test_the_loop_goes_on_meanwhile_and_nothing_waits_without_end(aside: Aside[str, str]) -> None:
    aside.ask("warm")
    turns: list[float] = []

    def tick() -> None:
        while len(turns) < 60:
            gevent.sleep(0.01)
            turns.append(time.monotonic())

    ticking = gevent.spawn(tick)
    first = gevent.spawn(aside.ask, "spin")
    gevent.sleep(0.01)
    with pytest.raises(ExaminerBusy, match="wait"):
        aside.ask("second")
    with pytest.raises(ExaminerBusy, match="within"):
        first.get()
    ticking.join()
    assert len(turns) == 60
    assert aside.ask("again").startswith("again by ")


def test_a_dead_one_is_replaced(aside: Aside[str, str]) -> None:
    with pytest.raises(ExaminerBusy, match="died"):
        aside.ask("die")
    assert aside.ask("again").startswith("again by ")


def test_it_ends_with_its_parent() -> None:
    one: Aside[str, str] = Aside(work, 0.2, 0.5)
    one.start()
    pid = int(one.ask("x").partition(" by ")[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)  # a terminal's Ctrl-C reaches it too: its parent decides
    assert one.ask("x").endswith(str(pid))
    one.stop()
    one.stop()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="the process is gone")
