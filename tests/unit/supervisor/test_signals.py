"""The queue of the supervisor's signals."""

import os
import signal
from collections.abc import Iterator

import pytest

from dtqs.supervisor.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    with Signals() as signals:
        yield signals


def send(number: signal.Signals, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)


def test_a_flood_of_harmless_signals_swallows_no_request_to_end(signals: Signals) -> None:
    send(signal.SIGTERM)
    send(signal.SIGUSR2, 1000)
    send(signal.SIGTERM)
    taken = signals.take()
    assert taken[0] == taken[-1] == signal.SIGTERM
    assert len(taken) < 100
    assert signals.take() == []


def test_each_of_some_equal_signals_counts(signals: Signals) -> None:
    send(signal.SIGTTIN, 5)
    send(signal.SIGINT, 3)
    assert signals.take() == [signal.SIGTTIN] * 5 + [signal.SIGINT] * 3
