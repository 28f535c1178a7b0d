"""The state that the API's master leaves to the program after it."""

import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from dtqs.api.server.handover import FORMAT, HANDLED, ApiHandover, let_signals_through, signals_held
from dtqs.errors import ConfigError


@pytest.fixture
def state() -> ApiHandover:
    return ApiHandover(FORMAT, os.getpid(), [3], ["127.0.0.1:8080"], False, {}, 12.5, True)


def test_the_next_program_reads_the_same_state(state: ApiHandover) -> None:
    assert ApiHandover.take(state.write()) == state


@pytest.mark.parametrize("wrong", [{"format": FORMAT + 1}, {"pid": 1}])
def test_the_state_of_another_version_or_process_is_refused(state: ApiHandover, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="no state of an API"):
        ApiHandover.take(replace(state, **wrong).write())  # type: ignore[arg-type]


def test_a_descriptor_that_holds_no_state_is_refused() -> None:
    with pytest.raises(ConfigError, match="no state of an API"):
        ApiHandover.take(os.open(os.devnull, os.O_RDONLY))


def test_an_adopted_process_shows_its_sign_of_life_and_ends_with_the_others(state: ApiHandover) -> None:
    sign = os.memfd_create("sign of life")
    now = time.monotonic()
    os.utime(sign, (now, now))
    with subprocess.Popen(["sleep", "60"]) as process:
        taken = ApiHandover.take(replace(state, processes={str(process.pid): sign}).write())
        adopted = taken.adopted()[process.pid]
        assert adopted.tmp.last_update() == pytest.approx(now, abs=0.001)
        assert not os.get_inheritable(sign)
        taken.end_processes()
        assert process.wait(10) == -signal.SIGTERM
    adopted.tmp.close()
    adopted.tmp.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(sign)


def test_held_signals_come_when_the_next_program_lets_them_through() -> None:
    before, seen = signal.getsignal(signal.SIGUSR1), list[int]()
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        with signals_held():
            signal.raise_signal(signal.SIGUSR1)
            assert (seen, signal.sigpending()) == ([], {signal.SIGUSR1})
            let_signals_through()
            assert seen == [signal.SIGUSR1]
        assert not HANDLED & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.signal(signal.SIGUSR1, before)
