"""What travels between the processor and a provider, and the three ways in which a provider says no."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dtqs.errors import DtqsError, PermanentError, TransientError
from dtqs.processors.sms.numbers import masked
from dtqs.processors.sms.segments import TextSegments
from dtqs.processors.sms.template import spellings

_WORD_CHARACTERS, _WORDS_CHARACTERS = 200, 300
_SECRET_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class TextMessage:
    """One text to one number. Its task's id goes along wherever a provider has a place for a reference."""

    task_id: str
    to: str
    text: str
    sender: str | None
    status_callback: str | None
    segments: TextSegments

    @property
    def secret(self) -> str:
        """The text, where hiding it would not make another server's words unreadable."""
        return self.text if len(self.text) >= _SECRET_CHARACTERS else ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the network says of one segment: `state` in SMPP's words (DELIVRD, UNDELIV, …), `error` as the network has it."""

    message_id: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class AcceptedText:
    """A message that the provider has accepted; `part_ids` where each segment has an id of its own."""

    message_id: str | None
    status: str
    part_ids: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()


class Provider(Protocol):
    """Sends messages. It opens what it needs at the first one, keeps it, and may be used again after `close`."""

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        """Send one message; call `begins` just before the first octet of it leaves, when everything that can fail before that has not.

        Raises SmsRefused, SmsNotTaken (surely not sent) or SmsUnsure (perhaps sent).
        """
        ...

    def look(self) -> str | None:
        """Connect as for a message, say nothing, and return to where; None where messages go nowhere. Raises SmsNotTaken, PermanentError."""
        ...

    def close(self) -> None:
        """Give back what is kept. Safe to call twice."""
        ...


class SmsRefused(PermanentError):
    """The provider will not send this message."""

    def __init__(self, provider: str, why: str) -> None:
        super().__init__(f"{provider} refuses the message: {why}")


class SmsNotTaken(TransientError):
    """The message has not been sent, and may be later."""

    def __init__(self, provider: str, why: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{provider} did not take the message: {why}", retry_after_seconds=retry_after_seconds)


class SmsUnsure(DtqsError):
    """The message was on its way, and nobody knows whether it was taken; the settings say what becomes of its task."""


def plain(text: str) -> str:
    """Return another server's word, an id or a status, as a result can hold it."""
    return "".join(char for char in text if char.isprintable())[:_WORD_CHARACTERS]


def words(text: str, secrets: Iterable[str] = ()) -> str:
    """Return what another server says as it may be shown: one short line, numbers masked, none of our secrets in it."""
    for secret in filter(None, secrets):
        for spelling in sorted(spellings(secret), key=len, reverse=True):
            text = text.replace(spelling, "********")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return masked(line)[:_WORDS_CHARACTERS]
