"""The payload of a task of type `sms`, with all limits that do not depend on the settings."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from dtqs.processors.base import Payload
from dtqs.processors.sms.numbers import E164, E164_PATTERN, SENDERS, number, sender_id

SEGMENTS_LIMIT = 255
TEXT_CHARACTERS = SEGMENTS_LIMIT * 153
URL_CHARACTERS = 2000
_CALLBACK = f"an http:// or https:// URL of at most {URL_CHARACTERS} characters, without user name and fragment"


def callback_url(url: str) -> str:
    """Return a URL that a provider can call. Raises ValueError, which says what is allowed."""
    if len(url) > URL_CHARACTERS:
        raise ValueError(f"not a URL that a provider can call; allowed: {_CALLBACK}")
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and not parts.fragment
            and parts.port != 0
        )
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"not a URL that a provider can call; allowed: {_CALLBACK}")
    return url


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; allowed: text with at least one visible character")
    odd = [char for char in text if (char < " " and char not in "\t\n\r\f") or "\x7f" <= char < "\xa0"]
    if odd:
        raise ValueError(f"contains a control character ({odd[0]!r}); allowed: text, line ends, tabs and form feeds")
    return text


class SmsPayload(Payload):
    """One text to one number."""

    to: Annotated[str, AfterValidator(number)] = Field(
        description=f"recipient: {E164}", json_schema_extra={"pattern": E164_PATTERN}
    )
    text: Annotated[str, AfterValidator(_text)] = Field(
        max_length=TEXT_CHARACTERS,
        description="the message; a long text or characters outside GSM-7 take more segments",
        json_schema_extra={"minLength": 1},
    )
    sender: Annotated[str, AfterValidator(sender_id)] | None = Field(
        default=None, description=f"{SENDERS}; left out: the configured sender"
    )
    status_callback: Annotated[str, AfterValidator(callback_url)] | None = Field(
        default=None,
        description=f"URL for status reports, if the provider sends them: {_CALLBACK}; left out: the configured URL",
    )
