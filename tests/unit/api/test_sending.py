"""Answers to slow clients: a steady reader gets all, one that stops or drips is cut off."""

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import gevent
import pytest
from gevent import socket

from dtqs.api.server import sending
from dtqs.api.server.connection import Connection, Joining
from dtqs.api.server.plain import PlainResponse, send_answer
from dtqs.api.server.sending import Sender
from dtqs.api.server.waiting import RequestWaits

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


class Dripping:
    """A peer that takes a KiB each 20 ms of its own clock, which nothing delays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.sends, self.noted = 1000.0, dict[Sender, float](), list[float]()
        self.one = Sender(self, self.sends)
        monkeypatch.setattr(sending, "SLOWEST_BYTES", 1 << 30)
        monkeypatch.setattr(sending, "time", Mock(monotonic=lambda: self.now))

    def settimeout(self, _: float | None) -> None:
        pass

    def send(self, data: Any) -> int:
        self.noted.append(self.now - self.sends[self.one])
        self.now += 0.02
        return min(len(data), 1 << 10)


def test_a_client_that_drips_is_cut_off_although_it_makes_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Dripping(monkeypatch)
    peer.one.settimeout(LIMIT_SECONDS)
    with pytest.raises(BrokenPipeError, match="16 KiB a second"):
        peer.one.sendall(ANSWER)
    assert len(peer.noted) == pytest.approx(LIMIT_SECONDS / 0.02, abs=2)
    assert peer.noted[0] == pytest.approx(0)
    assert peer.noted[-1] > LIMIT_SECONDS / 2, "for others it is without progress as long as it is behind"
    assert not peer.sends


def test_a_new_limit_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Dripping(monkeypatch)
    for _ in range(5):
        peer.one.settimeout(LIMIT_SECONDS)
        peer.one.sendall(b"x" * (10 << 10))
    assert len(peer.noted) == 50


@pytest.mark.parametrize("seconds", [None, LIMIT_SECONDS])
def test_a_send_that_has_ended_is_no_longer_noted(monkeypatch: pytest.MonkeyPatch, seconds: float | None) -> None:
    peer = Dripping(monkeypatch)
    peer.one.settimeout(seconds)
    peer.one.sendall(b"x")
    assert not peer.sends
    monkeypatch.setattr(peer, "send", Mock(side_effect=ConnectionResetError))
    with pytest.raises(ConnectionResetError):
        peer.one.sendall(b"x")
    assert not peer.sends


def test_without_a_limit_a_client_may_stop_reading(pair: tuple[Any, Any]) -> None:
    one = sender(pair[0])
    one.settimeout(None)
    sending_all = gevent.spawn(one.sendall, ANSWER)
    assert not sending_all.join(2 * LIMIT_SECONDS)
    assert not sending_all.ready()
    sending_all.kill()


class Keeping:
    """A peer that takes a part of each send, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.taken, self.flags = b"", list[int]()

    def send(self, data: Any, flags: int = 0) -> int:
        self.given.append(data)
        self.flags.append(flags)
        piece = bytes(data[:30_000])
        self.taken += piece
        return len(piece)


@pytest.mark.parametrize("way", ["plain", "gunicorn"])
@pytest.mark.parametrize("size", [1000, 80_000])
def test_a_long_answer_for_anybody_is_not_copied_for_each_client(size: int, way: str) -> None:
    """5,000 clients without a key that do not read /openapi.json would hold 400 MB."""
    peer, answer, head = Keeping(), b"x" * size, b"HTTP/1.1 200 OK\r\n"
    connection = Connection(peer, 30, RequestWaits(lambda: 30, 10))
    if way == "plain":
        response = PlainResponse(is_last=False)
        response.start_response("200 OK", [("Content-Length", str(size))])
        send_answer(connection, response, [answer])
    else:
        joining = Joining(connection)
        joining.sendall(head)
        joining.sendall(answer)
    assert peer.taken.startswith(head)
    assert peer.taken.endswith(answer)
    shared = [one is answer or getattr(one, "obj", None) is answer for one in peer.given]
    assert shared == ([False] if size == 1000 else [False, True, True, True])
    assert peer.flags[0] == (0 if size == 1000 else socket.MSG_MORE), "head and body leave in one packet"
    assert not any(peer.flags[1:])
