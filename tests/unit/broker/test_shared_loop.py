"""One thread at a time serves the broker's loop: its own thread, or a thread that waits for a message."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pika.adapters.select_connection import PollEvents

from dtqs.broker.loop.shared import SharedThreadLoop
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from tests.support.helpers import eventually

LONG = 20.0
"""Length of a wait that a test must end early."""


class Line:
    """A socket on a loop that notes which thread read each byte."""

    def __init__(self, loop: SharedThreadLoop) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.readers: list[threading.Thread] = []
        loop.ask(self._listen(loop), Deadline(5))

    def has_read(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.readers) >= count

    def _listen(self, loop: SharedThreadLoop) -> Callable[[Callable[[bool], None]], None]:
        def question(reply: Callable[[bool], None]) -> None:
            loop._ioloop.add_handler(self.theirs.fileno(), self._read, PollEvents.READ)
            reply(True)

        return question

    def _read(self, *_: object) -> None:
        self.theirs.recv(1)
        self.readers.append(threading.current_thread())


@pytest.fixture
def loop() -> Iterator[SharedThreadLoop]:
    one = SharedThreadLoop("trial")
    one.start()
    yield one
    one.stop(Deadline(5))
    assert not one._thread.is_alive()
    one.close()


def ask(loop: SharedThreadLoop, word: str) -> str:
    """Ask the loop a question, which answers with this word."""

    def question(reply: Callable[[str], None]) -> None:
        reply(word)

    return loop.ask(question, Deadline(5))


@pytest.fixture
def line(loop: SharedThreadLoop) -> Line:
    return Line(loop)


def poll_waits(loop: SharedThreadLoop) -> bool:
    """Tell whether the loop's own thread waits for events, and not for a lock."""
    return "futex" not in Path(f"/proc/self/task/{loop._thread.native_id}/wchan").read_text(encoding="ascii")


def test_a_leading_thread_reads_messages_and_otherwise_the_loops_own_thread_reads_them(
    loop: SharedThreadLoop, line: Line
) -> None:
    for turn in range(5):
        line.ours.send(b"x")
        eventually(line.has_read(2 * turn + 1), 5, "the loop's own thread has read")
        loop.lead(lambda: True, LONG)
        threading.Timer(0.01, line.ours.send, (b"x",)).start()
        loop.lead(line.has_read(2 * turn + 2), LONG)
        loop.release()
    assert line.readers == [loop._thread, threading.main_thread()] * 5


def test_a_message_that_arrives_while_the_lead_changes_is_read_once(loop: SharedThreadLoop, line: Line) -> None:
    for turn in range(50):
        sender = threading.Timer(0.0002 * (turn % 4), line.ours.send, (b"x",))
        sender.start()
        loop.lead(line.has_read(turn + 1), LONG)
        loop.release()
        sender.join()
        assert len(line.readers) == turn + 1


def test_a_message_that_arrives_while_the_loop_is_kept_waits_for_the_next_lead_or_the_release(
    loop: SharedThreadLoop, line: Line
) -> None:
    loop.lead(lambda: True, LONG)
    line.ours.send(b"x")
    loop.lead(line.has_read(1), LONG)
    line.ours.send(b"x")
    loop.release()
    eventually(line.has_read(2), 5, "the loop's own thread has read")
    assert line.readers == [threading.main_thread(), loop._thread]


def test_a_loop_that_is_kept_for_long_is_served_by_its_own_thread_again(loop: SharedThreadLoop, line: Line) -> None:
    loop.lead(lambda: True, LONG)
    line.ours.send(b"x")
    eventually(line.has_read(1), 5, "the loop's own thread has read")
    assert line.readers == [loop._thread]
    threading.Timer(0.05, line.ours.send, (b"x",)).start()
    loop.lead(line.has_read(2), LONG)
    assert line.readers[1] is threading.main_thread()


def test_a_release_by_another_thread_leaves_the_loop_to_the_thread_that_is_about_to_lead(
    loop: SharedThreadLoop, line: Line
) -> None:
    over = threading.Event()

    def release_all_the_time() -> None:
        while not over.is_set():
            loop.release()

    thread = threading.Thread(target=release_all_the_time)
    thread.start()
    try:
        for turn in range(20):
            threading.Timer(0.005, line.ours.send, (b"x",)).start()
            began = time.monotonic()
            loop.lead(line.has_read(turn + 1), LONG)
            assert time.monotonic() - began < 0.9, "the loop served events before its own thread's time limit"
    finally:
        over.set()
        thread.join()


def test_an_event_of_a_socket_that_another_thread_closed_meanwhile_is_dropped(
    loop: SharedThreadLoop, line: Line
) -> None:
    ioloop = loop._ioloop
    with ioloop.lock:  # `now` holds the lock in the same way
        line.ours.close()
        # the loop's thread has left its wait because of the hang-up, and waits for the lock
        eventually(lambda: not poll_waits(loop), 5, "the loop's thread waits for the lock")
        ioloop.remove_handler(line.theirs.fileno())
    assert ask(loop, "alive") == "alive"


def test_now_runs_after_the_calls_made_before_it(loop: SharedThreadLoop) -> None:
    ran: list[int] = []
    loop.lead(lambda: True, LONG)
    loop.call(lambda: ran.append(1))
    loop.now(lambda: ran.append(2))
    loop.lead(lambda: len(ran) == 2, LONG)
    assert ran == [1, 2]


def test_a_lead_ends_at_its_time_limit_and_at_a_wake_up_from_before_it(loop: SharedThreadLoop) -> None:
    began = time.monotonic()
    loop.lead(lambda: False, 0.05)
    assert 0.05 <= time.monotonic() - began < 5
    loop.ring()
    loop.lead(lambda: False, LONG)
    loop.release()
    loop.ring()
    loop.lead(lambda: False, LONG)
    assert time.monotonic() - began < 10


def test_a_signal_handler_ends_a_lead(loop: SharedThreadLoop) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: loop.ring())
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        began = time.monotonic()
        loop.lead(lambda: False, LONG)
        assert time.monotonic() - began < 10
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_call_runs_in_the_serving_thread_and_a_call_of_now_in_its_own(loop: SharedThreadLoop) -> None:
    ran: list[threading.Thread] = []

    def call() -> None:
        ran.append(threading.current_thread())

    loop.call(call)
    eventually(lambda: len(ran) == 1, 5, "the call has run")
    loop.now(call)
    threading.Timer(0.05, loop.call, (call,)).start()
    loop.lead(lambda: len(ran) == 3, LONG)
    loop.now(call)
    assert ran == [loop._thread, threading.main_thread(), threading.main_thread(), threading.main_thread()]


def test_a_question_is_answered_while_another_thread_holds_the_loop(loop: SharedThreadLoop) -> None:
    loop.lead(lambda: True, LONG)
    assert ask(loop, "yes") == "yes"
    answers: list[str] = []

    def ask_and_ring() -> None:
        answers.append(ask(loop, "yes"))
        loop.ring()

    threading.Timer(0.05, ask_and_ring).start()
    loop.lead(lambda: False, LONG)
    assert answers == ["yes"]
    with pytest.raises(BrokerUnavailable):
        loop.ask(lambda reply: None, Deadline(0.05))


def test_many_threads_take_turns_without_losing_a_call(loop: SharedThreadLoop) -> None:
    done: list[int] = []

    def call_often() -> None:
        for _ in range(200):
            loop.call(lambda: done.append(1))

    threads = [threading.Thread(target=call_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        loop.lead(lambda: False, 0.0005)
        loop.now(lambda: done.append(1))
        if turn % 3:
            loop.release()
    for thread in threads:
        thread.join(10)
    loop.lead(lambda: len(done) == 800, 5)
    assert len(done) == 800
