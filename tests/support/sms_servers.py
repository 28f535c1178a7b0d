"""Servers of SMS providers on loopback: an HTTP gateway and an SMPP server. They give set answers and keep requests."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import orjson
from smpplib import consts, smpp
from smpplib.client import SimpleSequenceGenerator

from tests.support.helpers import eventually

_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """An HTTP reply.

    With `lost` the connection closes without a reply, with `until` once the event is set, with `cut` within the body.
    """

    code: int = 201
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    cut: bool = False
    until: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int
    """The client's own port: it tells one connection from another."""

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode(), strict_parsing=True).items()}


class Gateway:
    """Gives `answers` in order, and then the replies of Twilio to valid requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
                gateway.asked.append(Asked(self.command, self.path, headers, body, self.client_address[1]))
                self._reply(gateway.answers.pop(0) if gateway.answers else accepted(len(gateway.asked)))

            do_GET = do_PUT = do_POST

            def _reply(self, answer: Answer) -> None:
                if answer.until is not None:
                    answer.until.wait(_SECONDS)
                if answer.lost or answer.until is not None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                data = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
                self.send_response(answer.code)
                for name, value in {"Content-Length": str(len(data)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if answer.cut else data)
                self.close_connection = answer.cut

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_SECONDS)


def accepted(number: int) -> Answer:
    return Answer(
        201,
        {"sid": f"SM{number:032d}", "status": "queued", "num_segments": "1", "error_code": None, "error_message": None},
    )


def refused(http_code: int, error: int, message: str, **headers: str) -> Answer:
    """Answer as Twilio does to a wrong request."""
    about = {
        "code": error,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{error}",
        "status": http_code,
    }
    return Answer(http_code, about, {name.replace("_", "-"): value for name, value in headers.items()})


LOSE, SILENCE, ASK_AND_RESET = "lose", "silence", "ask and reset"
"""Instead of a reply to submit_sm, the server may close the connection, stay silent, or send requests and reset it."""


class SmppServer:
    """Answers binds and submits with `bind_statuses` and `statuses` in order, and then with success."""

    def __init__(self, system_id: str = "dtqs", password: str = "sesame", tls: ssl.SSLContext | None = None) -> None:
        self._account, self._tls = (system_id.encode(), password.encode()), tls
        self.bind_statuses: list[int] = []
        self.statuses: list[int | str] = []
        self.is_mute = False
        self.got: list[Any] = []
        self.connections: list[socket.socket] = []
        self._numbers, self._sending = SimpleSequenceGenerator(), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def submitted(self) -> list[Any]:
        return [pdu for pdu in self.got if pdu.command == "submit_sm"]

    def commands(self) -> list[str]:
        return [pdu.command for pdu in self.got]

    def wait_for(self, command: str, count: int = 1) -> Any:
        """Wait until `count` PDUs of this command have arrived, and return the last."""
        eventually(lambda: self.commands().count(command) >= count, 10, f"{count} {command}")
        return [pdu for pdu in self.got if pdu.command == command][-1]

    def request(self, command: str, **fields: Any) -> None:
        """Send a request to the client."""
        self.send_raw(smpp.make_pdu(command, client=self._numbers, **fields).generate())

    def send_raw(self, data: bytes) -> None:
        with self._sending:
            self.connections[-1].sendall(data)

    def lose(self) -> None:
        """Close the newest connection without a reply."""
        with contextlib.suppress(OSError):
            self.connections[-1].shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._tls:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except OSError:
                    continue
            self.connections.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for pdu in _pdus(connection):
                self.got.append(pdu)
                if not self._answer(connection, pdu):
                    return

    def _answer(self, connection: socket.socket, pdu: Any) -> bool:
        """Answer a request; return False to end the connection."""
        if pdu.is_response() or self.is_mute:
            return True
        status: int | str = consts.SMPP_ESME_ROK
        fields: dict[str, Any] = {}
        if pdu.command == "bind_transceiver":
            good = (pdu.system_id, pdu.password) == self._account
            status = (
                self.bind_statuses.pop(0)
                if self.bind_statuses
                else consts.SMPP_ESME_ROK
                if good
                else consts.SMPP_ESME_RINVPASWD
            )
            fields = {"system_id": "server"}
        elif pdu.command == "submit_sm":
            status = self.statuses.pop(0) if self.statuses else consts.SMPP_ESME_ROK
            fields = {"message_id": f"{len(self.submitted()):08X}"} if status == consts.SMPP_ESME_ROK else {}
        if status == ASK_AND_RESET:
            self._ask_and_reset(connection)
        if isinstance(status, str):
            return status == SILENCE
        response = smpp.make_pdu(f"{pdu.command}_resp", status=status, **fields)
        response.sequence = pdu.sequence
        with self._sending:
            connection.sendall(response.generate())
        return str(pdu.command) != "unbind"

    def _ask_and_reset(self, connection: socket.socket) -> None:
        """Send more requests than the client can answer before the reset arrives."""
        ask = smpp.make_pdu("enquire_link", client=self._numbers).generate()
        with self._sending:
            connection.sendall(ask * 2000)
            # the end of the conversation closes the connection, which then is a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _pdus(connection: socket.socket) -> Iterator[Any]:
    numbers = SimpleSequenceGenerator()
    stream = connection.makefile("rb")
    while len(head := stream.read(4)) == 4:
        (length,) = struct.unpack(">L", head)
        yield smpp.parse_pdu(head + stream.read(length - 4), client=numbers, allow_unknown_opt_params=True)
