"""Parser for Server-Sent Events by the HTML standard, and a stream that survives reconnects with Last-Event-ID."""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from dtqs.bare_httpx import httpx
from dtqs.client.answers import check_stream
from dtqs.client.errors import ApiUnavailable, ForeignAnswer, WaitOver
from dtqs.deadline import Deadline
from dtqs.errors import RequestError

RETRY_SECONDS = 1.0
"""Pause before a reconnect, unless the server sends `retry:`."""
RETRY_MAX_SECONDS = 10.0
ASKED_MAX_SECONDS = 60.0
"""Longest pause that `Retry-After` of an answer may ask for."""
MESSAGE_BYTES_LIMIT = 64 << 20
"""Most bytes of one event: an endless event must not fill the memory."""
RETRY_DIGITS = 12
"""Most digits of `retry:`. A longer number may be too large for a float."""
LAST_LOOK_SECONDS = 0.5
"""A wait reconnects once more before its end, by this time."""
HEAD_SECONDS = 17.0
"""Longest wait for the head of a stream. The API itself waits 15 s for PostgreSQL before it reports a fault."""
NOTHING_MORE = 204
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream."""

    event: str
    data: str
    last_event_id: str


class Parser:
    """Turns chunks of bytes into messages. An event without a blank line after it is never dispatched."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_seconds: float | None = None
        self.fed = False
        self._pieces, self._after_cr, self._begun, self._size = list[bytes](), False, False, 0
        self._event, self._data, self._id = "", list[str](), last_event_id

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the messages that these bytes complete. Raises ApiUnavailable for an event above the limit."""
        self.fed = True
        for line in self._lines(chunk):
            if message := self._take(line):
                yield message

    def _lines(self, chunk: bytes) -> list[str]:
        """Return the complete lines, which end with CR, LF or CRLF; keep the rest for the next chunk."""
        if self._after_cr and chunk:
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        self._size += len(chunk)
        if self._size > MESSAGE_BYTES_LIMIT:
            raise ApiUnavailable(f"an event of the stream is above {MESSAGE_BYTES_LIMIT} bytes")
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        self._pieces.append(chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        if b"\n" not in self._pieces[-1]:
            return []
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
        if not self._begun:
            self._begun, lines[0] = True, lines[0].removeprefix(_MARK)
        return [line.decode("utf-8", "replace") for line in lines]

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, text = line.partition(":")
        text = text.removeprefix(" ")
        if name == "data":
            self._data.append(text)
        elif name == "event":
            self._event = text
        elif name == "id" and "\0" not in text:
            self._id = text
        elif name == "retry" and text.isascii() and text.isdecimal() and len(text) <= RETRY_DIGITS:
            self.retry_seconds = int(text) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        # The id of an event without data counts, too.
        self.last_event_id = self._id
        return ServerSentEvent(event, "\n".join(data), self.last_event_id) if data else None


def wait_limit(wait_seconds: float) -> Deadline:
    """Return the end of a wait; infinity means no limit. Raises RequestError for NaN, which no wait reaches."""
    if math.isnan(wait_seconds):
        raise RequestError("wait_seconds = nan: allowed: a number of seconds, or math.inf for no limit")
    return Deadline(wait_seconds)


Opener = Callable[[str, float], AbstractContextManager[httpx.Response]]
"""Opens the stream after the last event id, empty at first, and waits at most the given seconds for its head."""


def follow(
    opener: Opener, deadline: Deadline, lost: Callable[[str], None], last_event_id: str = ""
) -> Iterator[ServerSentEvent]:
    """Yield the messages of a stream and reconnect with Last-Event-ID until the server answers 204.

    `lost` gets the reason of each reconnect. Raises WaitOver at the deadline, ApiRefusal, and ForeignAnswer.
    """
    retry_seconds, failures = RETRY_SECONDS, 0
    while True:
        parser, asked = Parser(last_event_id), 0.0
        try:
            if (yield from _one_connection(opener, parser, deadline)):
                return
            failed, reason = 0, "the stream ended"
        except ForeignAnswer:
            raise  # another request would get the same answer
        except (httpx.RequestError, ApiUnavailable) as error:
            failed, reason = 1, str(error) or type(error).__name__
            asked = min(ASKED_MAX_SECONDS, getattr(error, "retry_after_seconds", 0.0))
        failures = failed if parser.fed else failures + failed
        last_event_id = parser.last_event_id
        retry_seconds = parser.retry_seconds if parser.retry_seconds is not None else retry_seconds
        pause = max(asked, min(RETRY_MAX_SECONDS, retry_seconds * 2.0 ** min(failures, 10)))
        left = deadline.remaining - LAST_LOOK_SECONDS
        if left <= 0:
            raise WaitOver
        lost(reason)
        time.sleep(min(pause, left))


def _one_connection(opener: Opener, parser: Parser, deadline: Deadline) -> Generator[ServerSentEvent, None, bool]:
    """Yield the messages of one connection; return whether the server has no more events."""
    head_seconds = min(HEAD_SECONDS, max(0.1, deadline.remaining))
    with opener(parser.last_event_id, head_seconds) as response, _cut_at(deadline, response):
        if response.status_code == NOTHING_MORE:
            return True
        check_stream(response)
        process_id = os.getpid()
        for chunk in response.iter_bytes():
            yield from parser.feed(chunk)
            if os.getpid() != process_id:  # the rest of this stream is for the parent
                raise httpx.ReadError("the stream was opened before a fork")
    return False


@contextmanager
def _cut_at(deadline: Deadline, response: httpx.Response) -> Iterator[None]:
    """End the stream at the deadline. Heartbeats prevent a read timeout from doing it."""
    line = response.extensions["network_stream"].get_extra_info("socket")

    def cut() -> None:
        with suppress(OSError):
            # Bypass TLS: its shutdown must not run while another thread reads.
            socket.socket.shutdown(line, socket.SHUT_RDWR)

    # a timer takes no infinity
    timer = threading.Timer(min(deadline.remaining, threading.TIMEOUT_MAX), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
