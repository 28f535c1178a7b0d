"""The pace of streams: connections have their turn during long work, and keys take turns to send."""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from gevent import socket

from dtqs.api.stream.pace import _FRAME_BYTES, _ROUND_BYTES, _STEPS, GreenletPace, SendingPace


@contextmanager
def looks() -> Iterator[list[int]]:
    """Count the looks of the loop at a connection that always has bytes."""
    seen = [0]
    ours, theirs = socket.socketpair()

    def look() -> None:
        while True:
            socket.wait_read(ours.fileno())
            seen[0] += 1

    with ours, theirs:
        theirs.send(b"x")
        looking = gevent.spawn(look)
        try:
            yield seen
        finally:
            looking.kill()


def test_long_work_lets_connections_run() -> None:
    pace = GreenletPace()
    with looks() as seen:
        for _ in range(10 * _STEPS):
            pace.spend()
    assert seen[0] >= 5, "with sleep(0) it would be none"


def test_streams_that_send_much_let_connections_run() -> None:
    pace = SendingPace()

    def send() -> None:
        for _ in range(4):
            pace.turn("key")
            pace.spend(1, _ROUND_BYTES // 2)

    with looks() as seen:
        gevent.joinall([gevent.spawn(send) for _ in range(10)], timeout=10, raise_error=True)
    assert seen[0] >= 10


def test_few_events_are_sent_without_a_wait() -> None:
    pace, order = SendingPace(), list[str]()
    gevent.spawn(order.append, "another")
    for _ in range(_ROUND_BYTES // _FRAME_BYTES // 2):
        pace.turn("key")
        pace.spend(1, 0)
    assert not order


def test_keys_take_turns_to_send() -> None:
    pace, order = SendingPace(), list[str]()

    def send(key: str) -> None:
        pace.turn(key)
        pace.spend(1, _ROUND_BYTES)
        order.append(key)

    sending = [gevent.spawn(send, key) for key in ["greedy"] * 50 + ["modest"] * 2]
    gevent.joinall(sending, timeout=10, raise_error=True)
    assert len(order) == 52
    assert [at for at, key in enumerate(order) if key == "modest"][-1] <= 5


def test_a_stream_that_ends_while_it_waits_stops_no_other() -> None:
    pace, order = SendingPace(), list[str]()

    def send(name: str) -> None:
        pace.turn("key")
        pace.spend(1, _ROUND_BYTES)
        order.append(name)

    sending = [gevent.spawn(send, name) for name in "abc"]
    gevent.sleep(0)
    sending[1].kill()
    gevent.joinall(sending, timeout=10)
    assert order == ["a", "c"]
