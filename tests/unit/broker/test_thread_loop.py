"""The thread of the broker's loop: questions that fail, and a process that has no memory left."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from dtqs.broker.loop.shared import SharedThreadLoop
from dtqs.broker.loop.threads import ThreadLoop
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable

_PROGRAM = """
import logging, resource, sys, time
from pathlib import Path
from dtqs.broker.loop.threads import ThreadLoop

class Sink(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), type(record.exc_info[1]).__name__, file=sys.stderr, flush=True)
        if sys.argv[1] == "no line":
            raise MemoryError

logging.getLogger().addHandler(Sink())
loop = ThreadLoop("broker")
loop.start()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), -1))
def fail():
    raise ValueError("a broken frame")
loop.call(fail if sys.argv[1] == "a fault" else lambda: bytearray(1 << 30))
time.sleep(30)  # as a task that runs in the main thread
"""


@pytest.mark.parametrize("log", ["a line", "no line"])
def test_a_worker_whose_broker_thread_gets_no_memory_ends_at_once(log: str) -> None:
    """Its supervisor then settles the death: the running task spends the attempt, as with any death of its worker."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM, log], capture_output=True, text=True, timeout=20)
    assert done.returncode == os.EX_SOFTWARE, done.stderr
    assert done.stderr.startswith("the broker's loop failed: this process ends MemoryError\n")


@pytest.mark.parametrize("kind", [ThreadLoop, SharedThreadLoop])
def test_a_question_that_fails_is_an_answer_and_the_loop_serves_on(
    kind: type[ThreadLoop], caplog: pytest.LogCaptureFixture
) -> None:
    loop = kind("broker")
    loop.start()

    def question(reply: Callable[[int], None]) -> None:
        raise ValueError("a hint that cannot be written")

    try:
        for _ in range(3):
            with pytest.raises(BrokerUnavailable, match="ValueError: a hint that cannot be written"):
                loop.ask(question, Deadline(20))
        assert loop.ask(seven, Deadline(20)) == 7
    finally:
        loop.stop(Deadline(5))
    assert [record.getMessage() for record in caplog.records] == ["a question to RabbitMQ failed"]


def seven(reply: Callable[[int], None]) -> None:
    reply(7)


def test_a_worker_whose_broker_thread_fails_ends_with_a_status_that_blames_no_task() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, "a fault"], capture_output=True, text=True, timeout=20)
    assert done.returncode == os.EX_PROTOCOL, done.stderr
    assert done.stderr.startswith("the broker's loop failed: this process ends ValueError\n")
