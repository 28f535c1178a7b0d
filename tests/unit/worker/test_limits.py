"""Interrupts of an attempt: signals, limits, threads that report, and code that changes the process."""

import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from dtqs.scoreboard import Scoreboard, Slot
from dtqs.supervisor.spawn import _offer_stacks
from dtqs.worker.limits import UNMASK_SECONDS, AttemptLimits, Interrupted, Reason, _Request
from dtqs.worker.own_lease import OwnLease
from dtqs.worker.process_state import _COMMON, ProcessState
from tests.support.helpers import eventually

TASK = "01929f3a-0000-7000-8000-000000000001"


@pytest.fixture
def limits() -> Iterator[AttemptLimits]:
    """Return limits of this process, and restore its own handlers afterwards."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    limits = AttemptLimits(Scoreboard(1).slot(0), 5.0)
    yield limits
    limits.disarm()
    limits.stop()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(
    limits: AttemptLimits,
    limit_seconds: float,
    step: Callable[[], object] = lambda: time.sleep(0.01),
    seconds: float = 10.0,
) -> Reason | None:
    """Make an attempt that repeats the step until interrupted or out of time; return the reason."""
    until = time.monotonic() + seconds
    try:
        try:
            limits.arm(TASK, limit_seconds)
            while time.monotonic() < until:
                step()
        finally:
            limits.disarm()
    except Interrupted as request:
        limits.disarm()
        return request.reason
    return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signals_action_runs_to_its_end_although_it_interrupts_the_attempt(
    limits: AttemptLimits, number: signal.Signals
) -> None:
    done: list[str] = []

    def stop() -> None:
        limits.stop_attempt()
        done.append("after the interrupt")

    limits.on_signal(number, stop)
    limits.start()
    asked = iter([number])

    def ask() -> None:
        for each in asked:
            os.kill(os.getpid(), each)

    assert interrupted(limits, 60.0, ask) is Reason.STOP
    assert done == ["after the interrupt"]


def test_a_limit_fires_while_several_threads_report(limits: AttemptLimits) -> None:
    ended = threading.Event()

    def report() -> None:
        while not ended.is_set():
            with limits.interrupts_deferred():
                time.sleep(0.02)

    threads = [threading.Thread(target=report) for _ in range(4)]
    limits.start()
    for thread in threads:
        thread.start()
    try:
        assert interrupted(limits, 0.3) is Reason.TIME_LIMIT
    finally:
        ended.set()
        for thread in threads:
            thread.join(5)


def masked_for(limits: AttemptLimits, seconds: float) -> None:
    with limits.interrupts_deferred():
        time.sleep(seconds)


def test_a_limit_fires_in_an_attempt_that_only_reports(limits: AttemptLimits) -> None:
    limits.start()
    assert interrupted(limits, 0.3, lambda: masked_for(limits, 0.01)) is Reason.TIME_LIMIT


def test_a_stall_of_the_database_does_not_count_as_the_attempts_time(limits: AttemptLimits) -> None:
    limits.start()
    stalls = iter([1.0])
    assert interrupted(limits, 0.6, lambda: masked_for(limits, next(stalls, 0.0)), seconds=1.2) is None


def test_a_handler_set_by_an_attempt_does_not_stay_for_the_next(limits: AttemptLimits) -> None:
    limits.start()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert interrupted(limits, 0.1, seconds=5.0) is Reason.TIME_LIMIT


@pytest.fixture
def forks(limits: AttemptLimits) -> multiprocessing.context.ForkContext:
    """Return the start method fork, in a process that handles its signals like a worker."""
    for number in (signal.SIGTERM, signal.SIGINT):
        limits.on_signal(number, lambda: None)
    limits.start()
    return multiprocessing.get_context("fork")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGXCPU])
def test_a_signal_ends_a_process_that_an_attempt_has_forked(
    forks: multiprocessing.context.ForkContext, number: signal.Signals
) -> None:
    child = forks.Process(target=time.sleep, args=(60,))
    child.start()
    assert child.pid
    os.kill(child.pid, number)
    child.join(10)
    try:
        assert child.exitcode == -number
    finally:
        child.kill()
        child.join()


def test_a_pool_of_processes_ends_when_its_attempt_raises(
    limits: AttemptLimits, forks: multiprocessing.context.ForkContext
) -> None:
    begun, begin = os.pipe()

    def pooled() -> None:
        with forks.Pool(1) as pool:
            pool.apply_async(_hold, (begin,))
            os.read(begun, 1)
            raise Interrupted(Reason.CPU_LIMIT)

    assert interrupted(limits, 10.0, pooled) is Reason.CPU_LIMIT, "the pool waits for its processes"


def _hold(begin: int) -> None:
    os.write(begin, b"x")
    time.sleep(60)


def test_a_forked_process_keeps_the_handlers_and_the_mask_of_its_attempt(
    limits: AttemptLimits, forks: multiprocessing.context.ForkContext
) -> None:
    signal.signal(signal.SIGTERM, _told)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        handler = signal.getsignal(signal.SIGINT)
        os.write(write, repr((mask == before, signal.getsignal(signal.SIGTERM) is _told, handler)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with open(read) as file:
        assert file.read() == repr((True, True, signal.default_int_handler))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_changes_that_an_attempt_makes_to_its_process_are_undone(tmp_path: Path) -> None:
    numbers = (signal.SIGALRM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGRTMIN + 6)
    before = (
        [signal.getsignal(number) for number in numbers],
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        os.getcwd(),
    )
    state = ProcessState()
    for number in numbers:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    # The mask keeps it pending: by default it would end the process as soon as the mask is lifted.
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    mask = os.umask(0o007)
    os.chdir(tmp_path)
    state.restore(light=False)
    assert (
        [signal.getsignal(number) for number in numbers],
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        os.getcwd(),
    ) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert os.umask(mask) == mask


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Return the file that the supervisor's request fills, and the function that restores the handler."""
    before = signal.getsignal(signal.SIGUSR2)
    yield tmp_path / "stacks", _offer_stacks(tmp_path / "stacks")
    faulthandler.unregister(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize(
    "left", [lambda *_: None, signal.SIG_DFL, signal.SIG_IGN], ids=["a handler", "none", "ignored"]
)
def test_the_request_for_stacks_is_answered_after_a_task_has_taken_its_signal(
    light: bool, left: "signal._HANDLER", stacks: tuple[Path, Callable[[], None]]
) -> None:
    place, offer = stacks
    state = ProcessState(offer)
    signal.signal(signal.SIGUSR2, left)
    state.restore(light)
    assert place.read_text() == ""
    os.kill(os.getpid(), signal.SIGUSR2)
    # not the name of this test: the dump ends after a hundred threads, and other tests may have left as many
    assert "(most recent call first)" in place.read_text()


@pytest.mark.parametrize("number", _COMMON)
@pytest.mark.parametrize(
    "left", [lambda *_: None, signal.SIG_DFL, signal.SIG_IGN], ids=["a handler", "none", "ignored"]
)
def test_a_light_task_leaves_the_worker_its_signals(number: signal.Signals, left: "signal._HANDLER") -> None:
    before = signal.signal(number, _told)
    try:
        state = ProcessState()
        signal.signal(number, left)
        state.restore(light=True)
        assert signal.getsignal(number) is _told
    finally:
        signal.signal(number, before)


def _told(_: int, __: object) -> None:
    """Stand in for the worker's own handler."""


def test_a_mask_set_by_a_light_attempt_does_not_stay_for_the_next(limits: AttemptLimits) -> None:
    limits.start()
    limits.arm(TASK, 60.0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    limits.disarm()
    # the time until the next look at the mask
    time.sleep(UNMASK_SECONDS)
    assert interrupted(limits, 0.1, seconds=5.0) is Reason.TIME_LIMIT


@pytest.mark.parametrize("hard_limit_seconds", [2.0, 5.0])
def test_an_attempt_that_outlasts_its_lease_is_not_killed_as_one_that_outlasts_its_time(
    hard_limit_seconds: float,
) -> None:
    board, began = Scoreboard(1), time.monotonic()
    slot = board.slot(0)
    lease = OwnLease(slot, 30.0)
    limits = AttemptLimits(slot, hard_limit_seconds, lease)
    limits.arm(TASK, 3600.0)
    try:
        limits._request = _Request(TASK, Reason.LEASE, time.monotonic())
        with pytest.raises(Interrupted):
            limits._raise_if_requested()
        assert board.read(0).kill_at >= began + 3600.0, "the end of the lease has a limit of its own"
        limits._request = _Request(TASK, Reason.CANCEL, began)
        with pytest.raises(Interrupted):
            limits._raise_if_requested()
        assert board.read(0).kill_at == pytest.approx(began + hard_limit_seconds)
    finally:
        limits.disarm()


@pytest.fixture
def deaf() -> Iterator[tuple[AttemptLimits, Scoreboard]]:
    """Return limits whose main thread takes no signal, like C code that lasts, and their scoreboard."""
    before = signal.getsignal(signal.SIGUSR1)
    board = Scoreboard(1)
    limits = AttemptLimits(board.slot(0), 5.0)
    limits.start()
    yield limits, board
    limits.stop()
    limits._thread.join(5)
    limits._armed = None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGUSR1, before)


def deafen() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


def test_a_cancel_has_the_attempt_killed_although_its_thread_obeys_no_signal(
    deaf: tuple[AttemptLimits, Scoreboard],
) -> None:
    limits, board = deaf
    limits.arm(TASK, 3600.0)
    deafen()
    asked_at = time.monotonic()
    limits.cancel([TASK])
    eventually(lambda: 0 < board.read(0).kill_at < asked_at + 20.0, 5)
    assert board.read(0).kill_at >= asked_at + 5.0
    # a report moves the time limit, and not the time to die
    with pytest.raises(Interrupted), limits.interrupts_deferred():
        pass
    assert board.read(0).kill_at < asked_at + 20.0


def test_a_time_to_die_is_never_that_of_the_attempt_before(deaf: tuple[AttemptLimits, Scoreboard]) -> None:
    limits, board = deaf
    limits.arm(TASK, 3600.0)
    deafen()
    limits.cancel([TASK])
    eventually(lambda: board.read(0).kill_at < time.monotonic() + 20.0, 5)
    limits.disarm()
    board.slot(0).kill_at(1.0)  # the thread was about to write while the attempt ended
    eventually(lambda: board.read(0).kill_at == 0.0, 5)
    limits.arm(TASK.replace("1", "2"), 3600.0)
    board.slot(0).kill_at(1.0)
    eventually(lambda: board.read(0).kill_at > time.monotonic() + 3000.0, 5)


def test_spent_processor_time_has_the_attempt_killed_although_its_thread_obeys_no_signal(
    deaf: tuple[AttemptLimits, Scoreboard],
) -> None:
    limits, board = deaf
    limits.cpu_until = time.process_time()
    limits.arm(TASK, 3600.0)
    deafen()
    eventually(lambda: board.read(0).kill_at < time.monotonic() + 20.0, 5)
    request = limits._pending()
    assert request
    assert request.reason is Reason.CPU_LIMIT


class FailingSlot:
    """A slot whose `kill_at` fails once in the main thread, after this many calls."""

    def __init__(self, slot: Slot) -> None:
        self._slot, self.calls_until_failure = slot, -1

    def kill_at(self, at: float) -> None:
        if threading.current_thread() is threading.main_thread():
            self.calls_until_failure -= 1
            if self.calls_until_failure == 0:
                raise MemoryError
        self._slot.kill_at(at)

    def __getattr__(self, name: str) -> object:
        return getattr(self._slot, name)


@pytest.mark.parametrize("failing_call", [1, 2], ids=["at its begin", "at its end"])
def test_an_error_in_a_report_leaves_the_next_attempt_its_time_limit(limits: AttemptLimits, failing_call: int) -> None:
    """Otherwise nothing could interrupt an attempt of this process any more."""
    slot = FailingSlot(limits._slot)
    limits._slot = cast(Slot, slot)
    limits.start()
    limits.arm(TASK, 60.0)
    slot.calls_until_failure = failing_call
    with pytest.raises(MemoryError), limits.interrupts_deferred():
        pass
    limits.disarm()
    assert interrupted(limits, 0.2, seconds=3.0) is Reason.TIME_LIMIT
