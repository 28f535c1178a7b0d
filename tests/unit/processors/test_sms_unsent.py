"""Whether a request has left: a connection that ends before its first byte leaves no doubt about a message."""

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from dtqs.deadline import Deadline
from dtqs.processors.sms.exchange import Exchange
from dtqs.processors.sms.link import Link, LinkLost, RequestUnsent
from dtqs.processors.sms.message import SmsNotTaken, SmsUnsure, TextMessage
from dtqs.processors.sms.segments import segment
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.smpp import Smpp

SETTINGS = SmsSettings(provider="smpp", host="h", system_id="a", password=SecretStr("b"))
Ends = tuple[socket.socket, socket.socket]


class Torn:
    """A socket that writes five bytes and then breaks."""

    written = 0

    def settimeout(self, seconds: float) -> None: ...
    def close(self) -> None: ...

    def send(self, data: bytes) -> int:
        if self.written:
            raise BrokenPipeError("Broken pipe")
        self.written = min(5, len(data))
        return self.written


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def linked(connection: Any, timeout_seconds: float = 5) -> Link:
    return Link(connection, timeout_seconds, 30, lambda received: 0)


def submit(link: Link) -> None:
    link.ask("submit_sm", destination_addr="4915112345678", source_addr="DTQS", short_message=b"hello")


def test_a_request_on_an_ended_connection_is_unsent(ends: Ends) -> None:
    ours, theirs = ends
    link = linked(ours)
    link.end()
    with pytest.raises(RequestUnsent, match="has ended"):
        submit(link)
    assert theirs.recv(100) == b""


def test_a_request_whose_first_byte_cannot_be_written_is_unsent(ends: Ends) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(RequestUnsent, match="Broken pipe"):
        submit(linked(ours))


def test_a_request_that_waits_too_long_for_the_connection_is_unsent(ends: Ends) -> None:
    ours, theirs = ends
    link, busy, done = linked(ours, 0.1), threading.Event(), threading.Event()

    def until() -> bool:
        busy.set()
        return done.wait(10)

    holder = threading.Thread(target=link.serve, args=(until, Deadline(10)))
    holder.start()
    busy.wait(10)
    with pytest.raises(RequestUnsent, match="busy"):
        submit(link)
    done.set()
    holder.join(10)
    assert theirs.recv(100) == b""


def test_a_request_that_is_written_in_part_may_have_been_sent() -> None:
    with pytest.raises(LinkLost, match="Broken pipe") as caught:
        submit(linked(Torn()))
    assert not isinstance(caught.value, RequestUnsent)


class Reset:
    """A socket that takes a request, delivers a PDU of the server, and then takes no answer to it."""

    def __init__(self, arrives: bytes) -> None:
        self._arrives, self.written = arrives, b""

    def settimeout(self, seconds: float) -> None: ...
    def close(self) -> None: ...

    def recv(self, most: int) -> bytes:
        data, self._arrives = self._arrives, b""
        return data

    def send(self, data: bytes) -> int:
        if not self._arrives:
            raise BrokenPipeError("Broken pipe")
        self.written += data
        return len(data)


@pytest.mark.parametrize(
    "arrives",
    [
        struct.pack(">LLLL", 16, 0x15, 0, 7),  # enquire_link
        struct.pack(">LLLL", 19, 5, 0, 7) + b"abc",  # a deliver_sm that cannot be read
        struct.pack(">LLLL", 16, 0xDEAD, 0, 7),  # an unknown command
    ],
)
def test_a_request_may_have_been_sent_if_an_answer_after_it_cannot_be_written(arrives: bytes) -> None:
    connection = Reset(arrives)
    with pytest.raises(LinkLost, match="Broken pipe") as caught:
        submit(linked(connection))
    assert b"hello" in connection.written
    assert not isinstance(caught.value, RequestUnsent)


def test_the_time_for_the_response_begins_when_the_request_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before the wait for the connection, which another thread may hold."""
    events: list[str] = []

    class Noted(Deadline):
        def __init__(self, seconds: float) -> None:
            events.append("time begins")
            super().__init__(seconds)

    class Responds(Reset):
        def send(self, data: bytes) -> int:
            events.append("sent")
            return super().send(data)

        def recv(self, most: int) -> bytes:
            return struct.pack(">LLL", 18, 0x80000004, 0) + self.written[12:16] + b"1\0"

    monkeypatch.setattr("dtqs.processors.sms.link.Deadline", Noted)
    submit(linked(Responds(b"a response")))
    assert events == ["time begins", "sent", "time begins"]


@pytest.mark.parametrize("text", ["hello", "x" * 200])
def test_a_message_whose_connection_ends_before_it_leaves_is_not_taken(ends: Ends, text: str) -> None:
    smpp = Smpp(SETTINGS)
    smpp._link = link = linked(ends[0])
    message = TextMessage("t", "+4915112345678", text, "DTQS", None, segment(text))
    with pytest.raises(SmsNotTaken, match="has ended"):
        smpp.send(message, link.end)


def test_a_message_is_unsure_if_its_connection_ends_after_the_first_segment(ends: Ends) -> None:
    ours, theirs = ends
    smpp = Smpp(SETTINGS)
    smpp._link = linked(ours)
    message = TextMessage("t", "+4915112345678", "x" * 200, "DTQS", None, segment("x" * 200))

    def accept_one() -> None:
        (sequence,) = struct.unpack_from(">L", theirs.recv(1000), 12)
        theirs.sendall(struct.pack(">LLLL", 18, 0x80000004, 0, sequence) + b"1\0")
        theirs.close()

    server = threading.Thread(target=accept_one)
    server.start()
    with pytest.raises(SmsUnsure, match="1 of 2 segments were taken"):
        smpp.send(message, lambda: None)
    server.join(10)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_whose_connection_ends_before_its_headers_leave_is_not_taken(method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = Exchange("http", 5, 5, None)

        def reset() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        with pytest.raises(SmsNotTaken, match=r"no connection to 127\.0\.0\.1"):
            exchange.ask(method, f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"", reset)
        exchange.close()
