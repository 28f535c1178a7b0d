"""The connection to the mail server: opened for the first e-mail, kept, checked when idle, and dropped in doubt.

It belongs to one process. faults.py says how a server's answer settles the task.
"""

import os
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dtqs.errors import PermanentError, TransientError
from dtqs.processors.email import answers, faults
from dtqs.processors.email.addresses import hello_name
from dtqs.processors.email.faults import Refusal, ServerUnreachable
from dtqs.processors.email.message import Mail
from dtqs.processors.email.settings import EmailSettings

_FRESH_SECONDS = 1.0
"""A connection used this recently is not checked before its next use."""
_QUIT_SECONDS = 2.0
_PIECE_BYTES = 1 << 16
"""An e-mail is sent in pieces with a timeout each: one timeout for all would have to fit large ones on slow lines."""
_CLOSING = 421


class AnswerMissing(Exception):
    """The whole e-mail was handed over, but the server's decision is unknown."""


@dataclass(frozen=True, slots=True)
class SmtpReceipt:
    """The server's answer to the e-mail, and the recipients that it rejected."""

    answer: str
    refused: Sequence[Refusal]


class MailServer:
    """This process's connection to the configured server."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings, self._where = settings, settings.where
        self._smtp: smtplib.SMTP | None = None
        self._tls: ssl.SSLContext | None = None
        self._pid = self._transactions = 0
        self._used_at = 0.0

    def deliver(self, mail: Mail, before_data: Callable[[Sequence[Refusal]], None]) -> SmtpReceipt:
        """Send the e-mail; call `before_data` after recipients are accepted and before any content is sent.

        Raises the errors of faults.py, and AnswerMissing.
        """
        try:
            refused = self._offer(mail)
            before_data(refused)
            answer = self._hand_over(mail.content)
        except faults.ANSWERS as error:
            self._end_transaction(getattr(error, "code", 0), isinstance(error, TransientError))
            raise
        except BaseException:
            # an interrupt too: it is unclear which answer would be read next
            self._drop()
            raise
        self._used_at = time.monotonic()
        return SmtpReceipt(answer, refused)

    def rest(self) -> None:
        """Close the connection after an e-mail if connections are not kept."""
        if not self._settings.idle_seconds:
            self._quit()

    def look(self) -> str:
        """Connect, encrypt and log in as for an e-mail, quit, and return a description. Raises as `deliver` does."""
        self._smtp, self._pid = self._open(), os.getpid()
        self._quit()
        safe = "without encryption" if self._settings.security == "none" else "encrypted, its certificate valid"
        return f"{self._where}: {safe}, " + ("logged in" if self._settings.username else "no login")

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._smtp is not None and self._pid == os.getpid():
            self._quit()
        else:
            self._drop()

    def _offer(self, mail: Mail) -> list[Refusal]:
        """Send the envelope. If the server has closed or rejects a kept connection, open a new one, once.

        Nothing was sent yet. An answer to MAIL may be about the connection: a full backend, or a login that expired.
        """
        while True:
            smtp, kept = self._connected()
            try:
                return self._envelope(smtp, mail)
            except OSError as error:
                self._drop()
                if not kept:
                    raise ServerUnreachable(self._where, f"broke off ({answers.reason(error)})") from error
            except (faults.MailDeferred, faults.MailRefused) as error:
                if not kept:
                    raise
                self._quit(error.code)

    def _envelope(self, smtp: smtplib.SMTP, mail: Mail) -> list[Refusal]:
        code, message = smtp.mail(mail.sender.spec, self._options(smtp, mail))
        if code != 250:
            raise self._answer(f"the sender {mail.sender.spec}", code, message)
        refused = []
        for at, address in enumerate(mail.recipients, 1):
            code, message = smtp.rcpt(address.spec)
            if code == _CLOSING or not 200 <= code < 600:
                raise self._answer("the e-mail", code, message)
            if code >= 300:
                refused.append(Refusal(address.spec, code, answers.text(message)))
                if faults.is_too_many(refused[-1]) and (accepted := at - len(refused)):
                    # before any content: otherwise the task would be completed, although some get no e-mail
                    raise faults.TooManyRecipients(self._where, accepted, refused[-1])
        if len(refused) == len(mail.recipients):
            raise (faults.AllDeferred if any(each.code < 500 for each in refused) else faults.AllRefused)(refused)
        return refused

    def _options(self, smtp: smtplib.SMTP, mail: Mail) -> list[str]:
        """Return the options of MAIL. Raises PermanentError if the server cannot take this e-mail at all."""
        options, size = [], smtp.esmtp_features.get("size", "")
        if mail.utf8:
            if not smtp.has_extn("smtputf8"):
                raise PermanentError(
                    "an address has non-ASCII letters before its @, "
                    f"and the mail server {self._where} does not offer SMTPUTF8, which they need"
                )
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        if smtp.has_extn("size"):
            if size.isdecimal() and 0 < int(size) < len(mail.content):
                raise PermanentError(
                    f"the e-mail has {len(mail.content)} bytes; the mail server {self._where} takes {size} at most"
                )
            options.append(f"SIZE={len(mail.content)}")
        return options

    def _hand_over(self, content: bytes) -> str:
        """Send the content. Without its whole final line the server has nothing; after it only the answer decides."""
        smtp = self._smtp
        assert smtp is not None
        try:
            code, message = smtp.docmd("DATA")
            if code != 354:
                raise self._answer("the e-mail", code, message)
            _timeout(smtp, self._settings.data_timeout_seconds)
            data = re.sub(rb"(?m)^\.", b"..", content)
            for start in range(0, len(data), _PIECE_BYTES):
                smtp.send(data[start : start + _PIECE_BYTES])
            smtp.send(b".\r\n")
        except OSError as error:
            reason = answers.reason(error)
            raise ServerUnreachable(self._where, f"broke off before the e-mail was complete ({reason})") from error
        try:
            code, message = smtp.getreply()
            _timeout(smtp, self._settings.reply_timeout_seconds)
        except OSError as error:
            raise AnswerMissing(answers.reason(error)) from error
        if not 200 <= code < 300:
            if 400 <= code < 600:
                raise self._answer("the e-mail", code, message)
            raise AnswerMissing(f"it was {code} {answers.text(message)}")
        return f"{code} {answers.text(message)}"

    def _connected(self) -> tuple[smtplib.SMTP, bool]:
        """Return a working connection, and whether it was kept from an earlier e-mail."""
        if self._smtp is not None and self._pid != os.getpid():
            self._drop()  # the parent's connection: closing it here sends no byte on it
        if self._smtp is not None:
            idle_seconds = time.monotonic() - self._used_at
            if (
                idle_seconds < self._settings.idle_seconds
                and self._transactions < self._settings.mails_per_connection
                and self._is_alive(idle_seconds)
            ):
                self._transactions += 1
                return self._smtp, True
            self._quit()
        self._smtp, self._pid, self._transactions = self._open(), os.getpid(), 1
        return self._smtp, False

    def _is_alive(self, idle_seconds: float) -> bool:
        assert self._smtp is not None
        with suppress(OSError):
            return idle_seconds < _FRESH_SECONDS or self._smtp.noop()[0] == 250
        return False

    def _open(self) -> smtplib.SMTP:
        """Connect, encrypt and log in. Raises ServerUnreachable, MailDeferred or MailRefused."""
        settings, smtp = self._settings, None
        try:
            smtp = self._greeted()
            _timeout(smtp, settings.reply_timeout_seconds)
            smtp.ehlo_or_helo_if_needed()
            if settings.security == "starttls":
                smtp.starttls(context=self._context())
                smtp.ehlo_or_helo_if_needed()
            if settings.username and settings.password:
                smtp.login(settings.username, settings.password.get_secret_value())
            return smtp
        except BaseException as error:
            if smtp is not None:
                smtp.close()
            if isinstance(error, smtplib.SMTPResponseException) and 400 <= error.smtp_code < 600:
                subject = "the login" if isinstance(error, smtplib.SMTPAuthenticationError) else "the connection"
                raise self._answer(subject, error.smtp_code, error.smtp_error) from error
            if isinstance(error, OSError | ValueError):  # ValueError: a challenge that is not base64
                raise ServerUnreachable(self._where, f"cannot be used ({answers.reason(error)})") from error
            raise

    def _greeted(self) -> smtplib.SMTP:
        settings = self._settings
        # a placeholder name avoids a look-up; the right one is known after connecting
        if settings.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host,
                settings.server_port,
                "localhost",
                timeout=settings.connect_timeout_seconds,
                context=self._context(),
            )
        else:
            smtp = smtplib.SMTP(
                settings.host, settings.server_port, "localhost", timeout=settings.connect_timeout_seconds
            )
        assert smtp.sock is not None
        # the end of an e-mail is a small segment after others and must not wait for their acknowledgement
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        smtp.local_hostname = settings.hello_name or _own_name(smtp.sock)
        return smtp

    def _context(self) -> ssl.SSLContext:
        """Return the context of a new connection. A renewed `ca_file` is read; if it is missing now, the last one."""
        if self._tls is None or self._settings.ca_file:
            try:
                self._tls = ssl.create_default_context(cafile=self._settings.ca_file)
            except OSError as error:
                if self._tls is None:
                    why = f"ca_file = {self._settings.ca_file}: {error.strerror or error}"
                    raise ServerUnreachable(self._where, f"cannot be used ({why})") from error
        return self._tls

    def _answer(
        self, subject: str, code: int, message: bytes | str
    ) -> faults.MailDeferred | faults.MailRefused | ServerUnreachable:
        if not 400 <= code < 600:
            return ServerUnreachable(self._where, f"gave an unexpected answer ({code} {answers.text(message)})")
        return faults.answer(self._where, subject, code, answers.text(message))

    def _end_transaction(self, code: int, deferred: bool) -> None:
        """Reset the connection for the next e-mail, unless none is kept, the server closes it, or it defers e-mails.

        One backend of several may defer each e-mail, and a new connection may reach another.
        """
        if self._smtp is None:
            return
        if not self._settings.idle_seconds or (deferred and self._transactions > 1):
            self._quit(code)
            return
        with suppress(OSError):
            if code != _CLOSING and self._smtp.rset()[0] == 250:
                self._used_at = time.monotonic()
                return
        self._drop()

    def _quit(self, code: int = 0) -> None:
        """End the connection. After 421 the server reads no QUIT."""
        try:
            if self._smtp is not None and code != _CLOSING:
                with suppress(OSError):
                    _timeout(self._smtp, _QUIT_SECONDS)
                    self._smtp.quit()
        finally:
            self._drop()

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()


def _timeout(smtp: smtplib.SMTP, seconds: float) -> None:
    if smtp.sock is not None:
        smtp.sock.settimeout(seconds)


def _own_name(sock: socket.socket) -> str:
    name = socket.gethostname()
    if "." in name:
        with suppress(ValueError):
            return hello_name(name)
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
