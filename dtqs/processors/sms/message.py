"""The values between the processor and a provider, and the three errors of a provider."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dtqs.errors import DtqsError, PermanentError, TransientError
from dtqs.one_line import one_line
from dtqs.processors.sms.numbers import hide_numbers
from dtqs.processors.sms.segments import TextSegments
from dtqs.processors.sms.template import spellings

_WORD_CHARACTERS, _LINE_CHARACTERS = 200, 300
_SECRET_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class TextMessage:
    """One text to one number. The task's id is sent along if the provider has a field for a reference."""

    task_id: str
    to: str
    text: str
    sender: str | None
    status_callback: str | None
    segments: TextSegments

    @property
    def secret(self) -> str:
        """The text, unless it is so short that hiding it would make a server's message unreadable."""
        return self.text if len(self.text) >= _SECRET_CHARACTERS else ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The network's report on one segment: `state` as in SMPP (DELIVRD, UNDELIV, …), `error` in the network's form."""

    message_id: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class AcceptedText:
    """A message that the provider has accepted; `part_ids` if each segment has its own id."""

    message_id: str | None
    status: str
    part_ids: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()


class Provider(Protocol):
    """Sends messages. It connects at the first message, keeps the connection, and is usable again after `close`."""

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        """Send one message; call `begins` just before its first byte leaves, after all steps that can fail earlier.

        Raises SmsRefused, SmsNotTaken (surely not sent) or SmsUnsure (perhaps sent).
        """
        ...

    def look(self) -> str | None:
        """Connect as for a message, send nothing, and return the address; None without a server.

        Raises SmsNotTaken.
        """
        ...

    def close(self) -> None:
        """Close kept connections. Safe to call twice."""
        ...


class SmsRefused(PermanentError):
    """The provider will not send this message."""

    def __init__(self, provider: str, why: str) -> None:
        super().__init__(f"{provider} refuses the message: {why}")


class SmsNotTaken(TransientError):
    """The message was not sent, and may be later."""

    def __init__(self, provider: str, why: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{provider} did not take the message: {why}", retry_after_seconds=retry_after_seconds)


class SmsUnsure(DtqsError):
    """The message was being sent, and its fate is unknown; the settings say how to settle its task."""


def plain(text: str) -> str:
    """Return an id or a status from another server in a form that a result can hold."""
    return "".join(char for char in text if char.isprintable())[:_WORD_CHARACTERS]


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return another server's message as one short line, without the secrets and with phone numbers hidden."""
    for secret in filter(None, secrets):
        for spelling in sorted(spellings(secret), key=len, reverse=True):
            text = text.replace(spelling, "********")
    return hide_numbers(one_line(text, len(text)))[:_LINE_CHARACTERS]
