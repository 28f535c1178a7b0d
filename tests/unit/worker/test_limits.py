"""How an attempt is interrupted: signals, limits, threads that report, and code that leaves its marks on the process."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from dtqs.scoreboard import Scoreboard
from dtqs.worker.limits import Interrupted, Limits, Reason

TASK = "01929f3a-0000-7000-8000-000000000001"


@pytest.fixture
def limits() -> Iterator[Limits]:
    """Limits of this process, whose own handlers are as before afterwards."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    limits = Limits(Scoreboard(1).slot(0), 5.0)
    yield limits
    limits.disarm()
    limits.stop()
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(seconds: float = 10.0) -> Reason | None:
    """Wait to be interrupted as a processor is."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
    except Interrupted as request:
        return request.reason
    return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_signal_asks_for_is_done_to_its_end_although_it_interrupts_the_attempt(limits: Limits, number: signal.Signals) -> None:
    done: list[str] = []

    def stop() -> None:
        limits.stop_attempt()
        done.append("after the interrupt")

    limits.hear(number, stop)
    limits.start()
    limits.arm(TASK, 60.0)
    os.kill(os.getpid(), number)
    assert interrupted() is Reason.STOP
    assert done == ["after the interrupt"]
