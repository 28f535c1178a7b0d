"""Errors of sending an e-mail, each with its own message. The base class says whether a retry may help."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.errors import PermanentError, TransientError

_TOO_MANY = re.compile(r"[45]\.5\.3\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that the server rejected."""

    address: str
    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.address}: {self.code} {self.message}"


class ServerFault(TransientError):
    """A fault of the mail server, or its wish to be asked later. It may last for hours, so retries have pauses."""


class ServerUnreachable(ServerFault):
    """There is no safe connection, or it broke before anything was sent."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the mail server {where} {why}; nothing was sent")


class MailDeferred(ServerFault):
    """The server cannot take the e-mail now."""

    def __init__(self, where: str, subject: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} deferred {subject}: {code} {message}")


class MailRefused(PermanentError):
    """The server will never take the e-mail."""

    def __init__(self, where: str, subject: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} refused {subject}: {code} {message}")


class AllDeferred(ServerFault):
    """Every recipient was rejected, at least one of them only for now."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class AllRefused(PermanentError):
    """Every recipient was rejected permanently."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class TooManyRecipients(PermanentError):
    """The server takes fewer recipients in one e-mail than this one has. It got no content."""

    def __init__(self, where: str, accepted: int, refusal: Refusal) -> None:
        super().__init__(
            f"the mail server {where} takes {accepted} recipients in one e-mail ({refusal.code} {refusal.message}); "
            f"set [processor:email] max_recipients = {accepted}, or submit several e-mails; nobody got this one"
        )


class AnswerLost(ServerFault):
    """The server's answer to the whole e-mail is lost; by the settings the e-mail is sent again."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"the mail server {where} got the e-mail, but its answer is lost ({why}); "
            "it is sent again with the same Message-ID"
        )


class TemplateFault(PermanentError):
    """A template is missing, or cannot be rendered with this context."""

    def __init__(self, template: str, why: str) -> None:
        super().__init__(f"template {template}: {why}")


ANSWERS = (MailDeferred, MailRefused, AllDeferred, AllRefused, TooManyRecipients)
"""The errors that a whole answer of the server caused: its connection is good for the next e-mail."""


def answer(where: str, subject: str, code: int, message: str) -> MailDeferred | MailRefused:
    """Return the error for a server's answer: 4xx is worth a retry, other codes are not."""
    return (MailDeferred if 400 <= code < 500 else MailRefused)(where, subject, code, message)


def is_too_many(refusal: Refusal) -> bool:
    """Tell whether a recipient was rejected because the e-mail has too many (RFC 3463, X.5.3; RFC 5321, 4.5.3.1.10)."""
    return _TOO_MANY.match(refusal.message) is not None or (
        refusal.code in (452, 552) and "too many recipients" in refusal.message.lower()
    )


def _listed(refused: Sequence[Refusal]) -> str:
    listed = "; ".join(map(str, refused[:5]))
    return listed + (f"; and {len(refused) - 5} more" if len(refused) > 5 else "")
