"""What can go wrong with a mail, as errors that word themselves; whether another attempt may help is their base class."""

from collections.abc import Sequence
from dataclasses import dataclass

from dtqs.errors import PermanentError, TransientError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that the server would not take."""

    address: str
    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.address}: {self.code} {self.message}"


class ServerUnreachable(TransientError):
    """No connection, or one that broke off before anything was sent, or that is not safe."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the mail server {where} {why}; nothing was sent")


class MailDeferred(TransientError):
    """The server says: not now."""

    def __init__(self, where: str, what: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} put off {what}: {code} {message}")


class MailRefused(PermanentError):
    """The server says: never."""

    def __init__(self, where: str, what: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"the mail server {where} refused {what}: {code} {message}")


class AllDeferred(TransientError):
    """No recipient was taken, and for at least one of them it may be different later."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class AllRefused(PermanentError):
    """No recipient was taken, and none ever will be."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(f"no recipient was accepted: {_listed(refused)}")


class AnswerLost(TransientError):
    """The mail was handed over and the server's answer did not come; the settings say that it is to be sent again."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"the mail server {where} got the mail, but its answer is lost ({why}); it is sent again, under the same Message-ID"
        )


class TemplateFault(PermanentError):
    """A template is not there, or cannot be rendered with this context."""

    def __init__(self, template: str, why: str) -> None:
        super().__init__(f"template {template}: {why}")


def answer(where: str, what: str, code: int, message: str) -> MailDeferred | MailRefused:
    """Return the error for what the server answered: 4xx is worth a retry, all else is not."""
    return (MailDeferred if 400 <= code < 500 else MailRefused)(where, what, code, message)


def _listed(refused: Sequence[Refusal]) -> str:
    shown = "; ".join(map(str, refused[:5]))
    return shown + (f"; and {len(refused) - 5} more" if len(refused) > 5 else "")
