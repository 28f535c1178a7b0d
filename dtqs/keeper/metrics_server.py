"""`[metrics] listen`: the keeper's answer to GET /metrics, about its node alone, so that no API is needed for it.

One thread serves one client at a time, with a limit on each. It has no keys: `listen` names an internal address.
"""

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable

from prometheus_client.core import Metric

from dtqs.deadline import Deadline, Stop
from dtqs.metrics.page import Paced, encoder_for

logger = logging.getLogger(__name__)
CLIENT_SECONDS = 2.0
"""Time limit of one request and its answer."""
_HEAD_BYTES = 8192
_AGAIN_SECONDS = 2.0
"""Pause before the next attempt to listen: the keeper before this one may still end."""
_WAKE_SECONDS = 0.5


class MetricsServer:
    def __init__(self, place: tuple[str, int], families: Callable[[], Iterable[Metric]], stop: Stop) -> None:
        self._place, self._families, self._stop = place, families, stop
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        told, failures = "", 0
        while not self._stop.requested:
            try:
                with _listener(self._place) as listener:
                    logger.info("serving metrics", extra={"address": self._place[0], "port": self._place[1]})
                    told, failures = "", 0
                    self._serve(listener)
            except (OSError, UnicodeError) as error:  # UnicodeError: no name that can be looked up
                failures += 1
                # the first failure may be a reload: the keeper before this one has not ended yet
                if failures > 1 and str(error) != told:
                    told = str(error)
                    logger.error("cannot serve [metrics] listen: trying again", extra={"reason": told})
                time.sleep(_AGAIN_SECONDS)

    def _serve(self, listener: socket.socket) -> None:
        while not self._stop.requested:
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                with client:
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        deadline = Deadline(CLIENT_SECONDS)
        try:
            head = _read_head(client, deadline)
            if head is not None:
                client.settimeout(max(0.01, deadline.remaining))
                client.sendall(self._reply(head))
        except OSError:
            pass  # the client has left, or is too slow
        except Exception:  # a failed answer must not end the thread
            logger.exception("metrics cannot be served")

    def _reply(self, head: str) -> bytes:
        first, _, rest = head.partition("\r\n")
        words = first.split()
        if len(words) != 3 or words[0] not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "text/plain", b"only GET /metrics is served here\n")
        if words[1].partition("?")[0] != "/metrics":
            return _response("404 Not Found", "text/plain", b"only /metrics is served here\n")
        accepts = [line.partition(":")[2].strip() for line in rest.split("\r\n") if line.lower().startswith("accept:")]
        encode, media_type = encoder_for(", ".join(accepts))
        text = encode(Paced(self._families()))
        return _response("200 OK", media_type, text, is_head=words[0] == "HEAD")


def _listener(place: tuple[str, int]) -> socket.socket:
    """Listen at the first address that this machine has. Raises OSError."""
    failure = OSError(f"{place[0]} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(*place, type=socket.SOCK_STREAM):
        try:
            return _listener_at(family, kind, protocol, address)
        except OSError as error:
            # `localhost` may be ::1 first, in a kernel without IPv6. A port in use is no reason for another address.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            failure = error
    raise failure


def _listener_at(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(16)
        listener.settimeout(_WAKE_SECONDS)
    except OSError:
        listener.close()
        raise
    return listener


def _read_head(client: socket.socket, deadline: Deadline) -> str | None:
    """Return the head of a request, or None if it does not end in time or is too long."""
    head = b""
    while b"\r\n\r\n" not in head:
        if deadline.passed or len(head) > _HEAD_BYTES:
            return None
        client.settimeout(max(0.01, deadline.remaining))
        piece = client.recv(_HEAD_BYTES)
        if not piece:
            return None
        head += piece
    return head.decode("latin-1")


def _response(status: str, media_type: str, body: bytes, is_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else body)
