"""A real mail server on loopback in its own thread, with STARTTLS, AUTH and answers that a test chooses."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, AnyStr, TypeVar, cast

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

T = TypeVar("T")
USERNAME, PASSWORD = "dtqs", "sesame"


@dataclass
class Received:
    """An e-mail that the server accepted."""

    sender: str
    recipients: list[str]
    content: bytes
    connection: "_Connection"
    login: bool

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=default)


@dataclass
class MailServerUnderTest:
    """Listens on its own port; a test may call `start`, `stop` and `hang_up` any number of times."""

    folder: Path
    names: tuple[str, ...] = ("localhost",)
    tls_first: bool = False
    starttls: bool = True
    smtputf8: bool = True
    size_limit: int = 30_000_000
    port: int = 0
    mails: list[Received] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sender_answers: list[str] = field(default_factory=list)
    later_senders_answer: str = ""
    """Reply to each MAIL but the first of a connection, if it is not empty."""
    recipient_answers: dict[str, str] = field(default_factory=dict)
    data_answers: list[str] = field(default_factory=list)
    """Replies to the next e-mails instead of 250; `drop` closes the connection, `stall` is silent until `release`."""

    quit_stalls: bool = False
    """Give QUIT no reply until `release`."""
    data_command_answers: list[str] = field(default_factory=list)
    """Replies to the next DATA commands instead of 354; `drop` closes the connection."""

    def __post_init__(self) -> None:
        authority = trustme.CA()
        self.ca_file = self.folder / f"ca-{id(self)}.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self.names).configure_cert(self._context)
        self.connections: list[_Connection] = []
        self._used_sessions: list[Session] = []
        self.release = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        self._server = self._do(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self._do(self._close())

    def hang_up(self) -> None:
        """Close every connection, as a server does at a restart."""
        self._do(self._abort())

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the keys of [processor:email] for this server."""
        security = "tls" if self.tls_first else "starttls" if self.starttls else "none"
        own = {
            "host": "localhost",
            "port": self.port,
            "security": security,
            "ca_file": str(self.ca_file),
            "sender": "Shop <shop@example.org>",
        }
        return {
            **own,
            "username": USERNAME,
            "password": PASSWORD,
            "reply_timeout_seconds": 5,
            "data_timeout_seconds": 5,
            **more,
        }

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, ssl=self._context if self.tls_first else None
        )

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._abort()

    async def _abort(self) -> None:
        self.release.set()
        self.release = asyncio.Event()
        for connection in self.connections:
            connection.abort()
        await asyncio.sleep(0.02)  # gives the loop a turn, in which the connections end

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def new_connection(self, connection: "_Connection") -> dict[str, Any]:
        self.connections.append(connection)
        encrypted = self.starttls and not self.tls_first
        return {
            "hostname": "mx.example.org",
            "tls_context": self._context if encrypted else None,
            "require_starttls": encrypted,
            "authenticator": _authenticate,
            "auth_required": encrypted,
            "auth_require_tls": encrypted,
            "enable_SMTPUTF8": self.smtputf8,
            "data_size_limit": self.size_limit,
            "loop": self._loop,
        }

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.commands.append(f"EHLO {hostname}")
        session.host_name = hostname
        return responses

    async def handle_NOOP(self, server: SMTP, session: Session, envelope: Envelope, arg: str) -> str:
        self.commands.append("NOOP")
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.commands.append("QUIT")
        if self.quit_stalls:
            await self.release.wait()
        return "221 2.0.0 goodbye"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender_answers:
            return self.sender_answers.pop(0)
        if self.later_senders_answer and session in self._used_sessions:
            return self.later_senders_answer
        self._used_sessions.append(session)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.recipient_answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: "_Connection", session: Session, envelope: Envelope) -> str:
        answer = self.data_answers.pop(0) if self.data_answers else "250 2.0.0 queued as 4711"
        if answer in ("drop", "stall") or answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            login = bool(session.authenticated)
            self.mails.append(Received(envelope.mail_from or "", envelope.rcpt_tos, envelope.content, server, login))
        if answer == "stall":
            await self.release.wait()
        if answer in ("drop", "stall"):
            server.abort()
        return answer


class _Connection(SMTP):
    """One connection; the server object is its handler."""

    def __init__(self, owner: MailServerUnderTest) -> None:
        super().__init__(owner, **owner.new_connection(self))
        self._owner = owner

    async def smtp_DATA(self, arg: str) -> None:
        answer = self._owner.data_command_answers.pop(0) if self._owner.data_command_answers else ""
        if answer == "drop":
            self.abort()
        elif answer:
            await self.push(answer)
        else:
            await super().smtp_DATA(arg)

    def abort(self) -> None:
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()

    async def push(self, status: AnyStr) -> None:
        if self.transport is not None and not self.transport.is_closing():
            await super().push(status)


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)
