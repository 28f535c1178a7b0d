"""Answers to slow clients: a steady reader gets all, one that stops or drips is cut off."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket

from dtqs.api.server import sending
from dtqs.api.server.sending import Sender

LIMIT_SECONDS = 0.4
ANSWER = b"x" * (4 << 20)


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """Return both ends of a connection with short buffers."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    with ours, theirs:
        yield ours, theirs


def sender(peer: Any) -> Sender:
    one = Sender(peer)
    one.settimeout(LIMIT_SECONDS)
    return one


def read_slowly(connection: Any, size: int, pause_seconds: float) -> int:
    """Read to the end in pieces, and return the number of bytes."""
    read = 0
    while piece := connection.recv(size):
        read += len(piece)
        gevent.sleep(pause_seconds)
    return read


def test_a_steady_reader_gets_an_answer_that_takes_longer_than_the_limit(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    reader = gevent.spawn(read_slowly, theirs, len(ANSWER) // 20, LIMIT_SECONDS / 10)
    began = time.monotonic()
    sender(ours).sendall(ANSWER)
    assert time.monotonic() - began > LIMIT_SECONDS
    ours.shutdown(socket.SHUT_WR)
    assert reader.get(timeout=10) == len(ANSWER)


def test_a_client_that_stops_reading_is_cut_off(pair: tuple[Any, Any]) -> None:
    began = time.monotonic()
    with pytest.raises(BrokenPipeError, match="takes nothing"):
        sender(pair[0]).sendall(ANSWER)
    assert time.monotonic() - began >= LIMIT_SECONDS


def test_a_client_that_drips_is_cut_off_although_it_makes_progress(
    pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SLOWEST_BYTES", 1 << 30)
    reader = gevent.spawn(read_slowly, pair[1], 1 << 13, LIMIT_SECONDS / 20)
    with pytest.raises(BrokenPipeError, match="16 KiB a second"):
        sender(pair[0]).sendall(ANSWER)
    reader.kill()


def test_a_new_limit_begins_anew(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SLOWEST_BYTES", 1 << 30)
    ours, theirs = pair
    one = sender(ours)
    reader = gevent.spawn(read_slowly, theirs, 1 << 13, LIMIT_SECONDS / 20)
    for _ in range(10):
        one.settimeout(LIMIT_SECONDS)
        one.sendall(b"x" * (1 << 15))
    ours.shutdown(socket.SHUT_WR)
    assert reader.get(timeout=10) == 10 << 15


def test_without_a_limit_a_client_may_stop_reading(pair: tuple[Any, Any]) -> None:
    one = sender(pair[0])
    one.settimeout(None)
    sending_all = gevent.spawn(one.sendall, ANSWER)
    assert not sending_all.join(2 * LIMIT_SECONDS)
    assert not sending_all.ready()
    sending_all.kill()
