"""One SMPP connection: requests and responses, answers to the server's requests, and a thread that tends it when idle.

smpplib writes the PDUs, and pdu.py reads them. The socket is ours: smpplib's client supports no IPv6, does not check
the certificate's host, and logs every byte, also the password.
"""

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from smpplib import consts, smpp
from smpplib.client import SimpleSequenceGenerator

from dtqs.deadline import Deadline
from dtqs.errors import DtqsError
from dtqs.processors.sms.pdu import HEADER_BYTES, Command, DeliverSm, Pdu, read

_PDU_BYTES = 64 << 10
_TICK_SECONDS = 0.2
_UNBIND_SECONDS = 1.0
logger = logging.getLogger(__name__)


class LinkLost(DtqsError):
    """The connection is unusable; the last request may or may not have been carried out."""


class RequestUnsent(LinkLost):
    """The connection is unusable, and no byte of the request was written."""


class Link:
    """Serves one thread beside its own. The holder of the lock reads and writes.

    `on_message` returns the status for the response to a deliver_sm.
    """

    def __init__(
        self,
        connection: socket.socket,
        timeout_seconds: float,
        enquire_seconds: float,
        on_message: Callable[[DeliverSm], int],
    ) -> None:
        self._socket, self._timeout_seconds, self._enquire_seconds, self._on_message = (
            connection,
            timeout_seconds,
            enquire_seconds,
            on_message,
        )
        self._numbers = SimpleSequenceGenerator()
        self._buffer = b""
        self._received_at = time.monotonic()
        self._enquired_at: float | None = None
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._tend, name="smpp", daemon=True)

    def start(self) -> None:
        """Start the thread that tends the connection."""
        self._thread.start()

    @property
    def usable(self) -> bool:
        return not self._ended.is_set()

    @property
    def quiet_seconds(self) -> float:
        return time.monotonic() - self._received_at

    def ask(self, command: str, **fields: Any) -> Pdu:
        """Send a request and return its response, whatever the status. Raises LinkLost, RequestUnsent."""
        with self._locked():
            request = smpp.make_pdu(command, client=self._numbers, **fields)
            # only here: an answer to the server that cannot be written says nothing about a request that has left
            self._send(request, if_unsent=RequestUnsent)
            # from now on: the wait for the lock takes none of the response's time
            for pdu in self._until(Deadline(self._timeout_seconds)):
                if pdu.is_response and pdu.sequence == request.sequence:
                    return pdu
                self._answer(pdu)
            raise LinkLost(f"no response to {command} within {self._timeout_seconds:g} s")

    def serve(self, until: Callable[[], bool], deadline: Deadline) -> None:
        """Answer the server's requests until the condition holds or the deadline passes. Raises LinkLost."""
        with self._locked():
            if until():
                return
            for pdu in self._until(deadline):
                self._answer(pdu)
                if until():
                    return

    def close(self) -> None:
        """Unbind from the server, and end. Safe to call twice."""
        if self.usable:
            try:
                self._timeout_seconds = _UNBIND_SECONDS
                self.ask("unbind")
            except LinkLost:
                logger.debug("connection lost before unbind")
        self.end()
        if self._thread.is_alive():
            self._thread.join(2 * _TICK_SECONDS)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._timeout_seconds):
            self.end()
            raise RequestUnsent(f"the connection was busy for {self._timeout_seconds:g} s")
        try:
            if not self.usable:
                raise RequestUnsent("the connection has ended")
            yield
        except BaseException:
            # also after a timeout or a cancel: an interrupt inside a PDU makes all later bytes meaningless
            self.end()
            raise
        finally:
            self._lock.release()

    def end(self) -> None:
        """Close the connection without unbinding. Safe to call twice, from any thread."""
        self._ended.set()
        self._socket.close()

    def _send(self, pdu: Any, if_unsent: type[LinkLost] = LinkLost) -> None:
        """Write a PDU. Raises `if_unsent` if its first byte could not be written, or LinkLost."""
        data, written, deadline = pdu.generate(), 0, Deadline(self._timeout_seconds)
        try:
            while written < len(data):
                self._socket.settimeout(deadline.remaining)
                written += self._socket.send(data[written:])
        except OSError as error:
            raise (LinkLost if written else if_unsent)(f"cannot send: {error}") from error

    def _until(self, deadline: Deadline) -> Iterator[Pdu]:
        """Yield PDUs until the deadline passes, even if the server sends without a pause."""
        while (pdu := self._next(deadline)) is not None:
            yield pdu
            if deadline.passed:
                return

    def _next(self, deadline: Deadline) -> Pdu | None:
        """Return the next PDU, oldest first; None if none arrives in time."""
        while (raw := self._cut()) is None:
            try:
                self._socket.settimeout(deadline.remaining)
                data = self._socket.recv(_PDU_BYTES)
            except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
                return None
            except OSError as error:
                raise LinkLost(str(error)) from error
            if not data:
                raise LinkLost("the server has closed the connection")
            self._buffer += data
            self._received_at, self._enquired_at = time.monotonic(), None
        return read(raw)

    def _cut(self) -> bytes | None:
        """Remove the first complete PDU from the buffer and return it, or None."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        (length,) = struct.unpack_from(">L", self._buffer)
        if not HEADER_BYTES <= length <= _PDU_BYTES:
            raise LinkLost(f"the server does not speak SMPP: a PDU of {length} octets")
        if len(self._buffer) < length:
            return None
        raw, self._buffer = self._buffer[:length], self._buffer[length:]
        return raw

    def _answer(self, pdu: Pdu) -> None:
        """Answer a request of the server; ignore a response that no caller waits for any more."""
        if pdu.is_response or pdu.command is Command.ALERT_NOTIFICATION:
            return
        if pdu.command is Command.DELIVER_SM:
            # this refusal is final: a server that sends such a message again gets the same response
            status = self._on_message(pdu.deliver_sm) if pdu.deliver_sm else consts.SMPP_ESME_RX_P_APPN
            self._respond(f"{pdu.command}_resp", pdu.sequence, status)
        elif pdu.command in (Command.ENQUIRE_LINK, Command.UNBIND):
            self._respond(f"{pdu.command}_resp", pdu.sequence)
        else:
            self._respond("generic_nack", pdu.sequence, consts.SMPP_ESME_RINVCMDID)
        if pdu.command is Command.UNBIND:
            raise LinkLost("the server has unbound us")

    def _respond(self, response: str, sequence: int, status: int = consts.SMPP_ESME_ROK) -> None:
        made = smpp.make_pdu(response, status=status)
        made.sequence = sequence
        self._send(made)

    def _tend(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            if not self._lock.acquire(blocking=False):
                continue
            try:
                self._check()
            except Exception as error:
                # the next message must see any failure, and a thread has no caller to raise it to
                if self.usable:
                    logger.warning("connection to the SMPP server lost", extra={"reason": str(error)})
                self.end()
            finally:
                self._lock.release()

    def _check(self) -> None:
        """Answer the PDUs that have arrived; after a long silence send enquire_link."""
        deadline = Deadline(_TICK_SECONDS)  # so that a waiting sender gets the connection
        while not deadline.passed and (pdu := self._next(Deadline(0))) is not None:
            self._answer(pdu)
        if self._enquired_at is None:
            if self.quiet_seconds >= self._enquire_seconds:
                self._enquired_at = time.monotonic()
                self._send(smpp.make_pdu("enquire_link", client=self._numbers))
        elif time.monotonic() - self._enquired_at > self._timeout_seconds:
            raise LinkLost(f"no response to enquire_link within {self._timeout_seconds:g} s")
