"""Errors of sending an e-mail, each with its own message. The base class says whether a retry may help."""

from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.errors import PermanentError, TransientError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that the server rejected."""

    address: str
    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.address}: {self.code} {self.message}"


class ServerUnreachable(TransientError):
    """There is no safe connection, or it broke before anything was sent."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the mail server {where} {why}; nothing was sent")


class MailDeferred(TransientError):
    """The server cannot take the e-mail now."""

    def __init__(self, where: str, subject: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} deferred {subject}: {code} {message}")


class MailRefused(PermanentError):
    """The server will never take the e-mail."""

    def __init__(self, where: str, subject: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} refused {subject}: {code} {message}")


class AllDeferred(TransientError):
    """Every recipient was rejected, at least one of them only for now."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class AllRefused(PermanentError):
    """Every recipient was rejected permanently."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class AnswerLost(TransientError):
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


def answer(where: str, subject: str, code: int, message: str) -> MailDeferred | MailRefused:
    """Return the error for a server's answer: 4xx is worth a retry, other codes are not."""
    return (MailDeferred if 400 <= code < 500 else MailRefused)(where, subject, code, message)


def _listed(refused: Sequence[Refusal]) -> str:
    listed = "; ".join(map(str, refused[:5]))
    return listed + (f"; and {len(refused) - 5} more" if len(refused) > 5 else "")
