"""Connections for fetching: only to addresses that the guard allows, and every wait ends with the fetch's deadline."""

import queue  # by its name: gevent changes the class after this import
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty
from ssl import SSLContext
from typing import Any

import httpcore

from dtqs.deadline import Deadline
from dtqs.files.guard import Guard

HTTP_FAULTS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
TRANSIENT_STATUSES = frozenset({408, 425, 429})
"""Statuses below 500 that a later request may not get."""
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class HostRefused(Exception):
    """The host may not be fetched from, or does not exist."""


@dataclass(frozen=True, slots=True)
class FetchTimeouts:
    """Time limits: one for the whole fetch, and one for each silence."""

    deadline: Deadline
    silence_seconds: float

    def left(self) -> float:
        """Return the seconds for the next step. Raises httpcore.ReadTimeout after the fetch's deadline."""
        if self.deadline.passed:
            raise httpcore.ReadTimeout("the fetch's deadline has passed")
        return min(self.silence_seconds, self.deadline.remaining)


class GuardedNetwork(httpcore.NetworkBackend):
    """Resolves a host, checks every address, and connects to the first that answers. TLS still uses the host's name."""

    def __init__(self, guard: Guard, timeouts: FetchTimeouts) -> None:
        self._guard, self._timeouts = guard, timeouts
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host. Raises HostRefused, httpcore.ConnectError, httpcore.ConnectTimeout."""
        addresses = self._addresses(host, port)
        for address in addresses:
            if refusal := self._guard.judge(host, ip_address(address)):
                raise HostRefused(refusal)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return _Timed(
                    self._plain.connect_tcp(address, port, self._timeouts.left(), local_address, socket_options),
                    self._timeouts,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        """Ask the system's resolver in a thread: it cannot be interrupted, and may take longer than the deadline."""
        answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
        threading.Thread(target=_resolve, args=(host, port, answers), name="resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=self._timeouts.left())
        except Empty:
            raise httpcore.ConnectTimeout("name resolution took too long") from None
        if isinstance(answer, list):
            return answer
        if answer.errno in _NO_SUCH_HOST:
            raise HostRefused("no host has this name")
        raise httpcore.ConnectError(f"the host's name could not be resolved: {answer.strerror}")


class _Timed(httpcore.NetworkStream):
    """A connection whose waits keep to the limits, whatever timeout the caller passes, even for single bytes."""

    def __init__(self, stream: httpcore.NetworkStream, timeouts: FetchTimeouts) -> None:
        self._stream, self._timeouts = stream, timeouts

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._timeouts.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._timeouts.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._timeouts.left()), self._timeouts)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def header(response: httpcore.Response, name: bytes) -> str:
    """Return a header by its lower-case name; empty if it is missing."""
    values = (value.decode("utf-8", "replace") for key, value in response.headers if key.lower() == name)
    return next(values, "").strip()


def _resolve(host: str, port: int, answers: "queue.SimpleQueue[list[str] | OSError]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        answers.put(error)
    except UnicodeError:  # the resolver's encoding of names rejects an overlong label
        answers.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))
    else:
        answers.put([str(address[0]) for _, _, _, _, address in found])
