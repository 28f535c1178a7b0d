"""The keys of `[processor:sms]`, and the keys that each provider needs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from dtqs.config.section import Host, SeveralLines, ShownAsHost, ShownAsUrl, ShownMasked
from dtqs.processors.base import ProcessorSettings
from dtqs.processors.settings import retries_field
from dtqs.processors.sms import template
from dtqs.processors.sms.numbers import PREFIX_PATTERN, sender_id
from dtqs.processors.sms.payload import SEGMENTS_LIMIT, callback_url
from dtqs.url_host import check_host_and_port

ATTEMPT_SECONDS, MAX_RETRIES = 120.0, 20
"""The default timeout of an attempt, at least. The default retries, with their pauses, take about an hour."""
AGAIN_SECONDS = 1.0
"""The pause before a throttled segment is submitted again."""
_OWN_SECONDS = 10.0
"""Time of an attempt for everything but waits."""
_NEEDED = {
    "twilio": ("account_sid", "auth_token"),
    "smpp": ("host", "system_id", "password"),
    "http": ("url",),
    "sink": (),
    None: (),
}
_OURS = frozenset({"content-length", "transfer-encoding"})


def _optional(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda text: check(text) if text else text)


def _web_url(url: str) -> str:
    parts = urlsplit(template.check(url))
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "$" in parts.netloc
        or "@" in parts.netloc
        or parts.fragment
    ):
        raise ValueError("allowed: an http:// or https:// URL with a fixed host, without user name and fragment")
    check_host_and_port(url)
    return url


def _callback(url: str) -> str:
    if template.names(url) - {"id"}:
        raise ValueError("only ${id} is allowed here")
    return callback_url(url)


def _headers(text: str) -> str:
    try:
        names = template.headers(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if found := next((name for name in names if name.lower() in _OURS), None):
        raise ValueError(f"{found} is not allowed here: DTQS writes it")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _is_printable(secret: SecretStr | None) -> bool:
    text = secret.get_secret_value() if secret else ""
    return text.isascii() and text.isprintable()


def _printable(secret: SecretStr | None) -> SecretStr | None:
    if not _is_printable(secret):
        raise ValueError("must be printable ASCII: the provider's protocol knows no other characters")
    return secret


Text = Annotated[str, _optional(template.check), ShownMasked, SeveralLines()]
Url = Annotated[str, _optional(_web_url), ShownAsHost]


class SmsSettings(ProcessorSettings):
    """Provider, senders, recipients and rates; then the keys of each provider."""

    max_retries: int | None = retries_field(
        f"{MAX_RETRIES}, in about an hour if the provider takes no messages, unless [retry] max_retries is changed"
    )
    retry_base_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="seconds before the sixth retry after a fault of the provider; doubled for each further one. "
        "Earlier ones follow [retry] alone",
    )
    retry_max_seconds: float = Field(
        300.0, ge=0, le=86400, description="most seconds before such a retry, beside up to a quarter more"
    )
    provider: Literal["twilio", "smpp", "http", "sink"] | None = Field(
        None, description="service that sends the messages; sink: write them to a file; empty: tasks fail"
    )
    sender: Annotated[str, _optional(sender_id)] = Field(
        "", description="sender id for messages whose payload gives none"
    )
    senders: tuple[Annotated[str, AfterValidator(sender_id)], ...] = Field(
        (), description="sender ids allowed in a payload; empty: any"
    )
    allowed_prefixes: tuple[Annotated[str, Field(pattern=PREFIX_PATTERN)], ...] = Field(
        (),
        description="allowed beginnings of recipient numbers, such as +49, +4366; empty: any number in the world",
    )
    max_segments: int = Field(10, ge=1, le=SEGMENTS_LIMIT, description="segments of one message")
    on_ambiguous: Literal["retry", "fail"] = Field(
        "fail", description="settlement of a task when it is unknown whether its message was sent"
    )
    recipient_per_minute: float = Field(
        0.0, ge=0, le=6000, description="messages a minute to one number, all workers together; 0: no limit"
    )
    recipient_burst: int = Field(3, ge=1, le=1000, description="messages to one number at once after a pause")
    sender_per_second: float = Field(
        0.0, ge=0, le=1000, description="messages a second from one sender id, all workers together; 0: no limit"
    )
    sender_burst: int = Field(1, ge=1, le=1000, description="messages from one sender id at once after a pause")
    status_callback: Annotated[str, _optional(_callback), ShownAsHost] = Field(
        "", description="URL for status reports (twilio, http); ${id} in it stands for the task's id"
    )
    connect_timeout_seconds: float = Field(
        5.0, ge=0.1, le=60, description="seconds to wait for a connection to the provider"
    )
    request_timeout_seconds: float = Field(15.0, ge=0.1, le=90, description="seconds to wait for the provider's reply")
    ca_file: Path | None = Field(
        None, description="PEM file of the trusted certificate authorities; empty: the usual ones"
    )
    # twilio
    account_sid: str = Field("", pattern=r"^[A-Za-z0-9]*$", description="twilio: the account, such as AC…")
    api_key_sid: str = Field(
        "", pattern=r"^[A-Za-z0-9]*$", description="twilio: an API key, such as SK…; auth_token is then its secret"
    )
    auth_token: SecretStr | None = Field(
        None, min_length=1, description="twilio: the token; auth_token_file names a file that holds it"
    )
    messaging_service_sid: str = Field(
        "",
        pattern=r"^[A-Za-z0-9]*$",
        description="twilio: the service that chooses the sender if a payload gives none; sender is not used then",
    )
    base_url: Annotated[str, AfterValidator(_web_url), ShownAsUrl] = Field(
        "https://api.twilio.com", min_length=1, description="twilio: URL of its API"
    )
    # smpp
    host: Host = Field("", pattern=r"^[A-Za-z0-9._:-]*$", description="smpp: host name or address of the server")
    port: int = Field(2775, ge=1, le=65535, description="smpp: TCP port of the server")
    tls: bool = Field(False, description="smpp: TLS from the first octet; the certificate is checked against host")
    system_id: str = Field(
        "", max_length=15, pattern=r"^[!-~]*$", description="smpp: the account, 15 characters at most"
    )
    password: Annotated[SecretStr | None, AfterValidator(_printable)] = Field(
        None,
        max_length=8,
        description="smpp: its password, 8 characters at most; password_file names a file that holds it",
    )
    system_type: str = Field(
        "", max_length=12, pattern=r"^[ -~]*$", description="smpp: type, if the server asks for one"
    )
    enquire_link_seconds: float = Field(
        30.0,
        ge=0.2,
        le=600,
        description="smpp: seconds of silence after which the connection is checked with enquire_link",
    )
    receipts: bool = Field(True, description="smpp: request delivery receipts, which are logged")
    wait_receipt_seconds: float = Field(
        0.0, ge=0, le=60, description="smpp: seconds to wait for the receipts, which then are part of the result"
    )
    # http
    method: Literal["POST", "PUT", "GET"] = Field("POST", description="http: method of the request")
    url: Url = Field("", description="http: the gateway's URL; may contain ${to} and others, see docs/sms.md")
    headers: Annotated[str, AfterValidator(_headers), ShownMasked, SeveralLines()] = Field(
        "",
        description='http: JSON object of headers, such as {"Authorization": "Bearer ${token}"}; continuation lines '
        "are indented",
    )
    content_type: str = Field(
        "application/json",
        pattern=r"^[!-~]+/[ -~]+$",
        description="http: type of the body; it decides how values are escaped",
    )
    body: Text = Field(
        '{"to": "${to}", "from": "${sender}", "text": "${text}", "reference": "${id}"}',
        description="http: the body; not used with GET; continuation lines are indented",
    )
    token: SecretStr | None = Field(
        None, min_length=1, description="http: value of ${token}; token_file names a file that holds it"
    )
    success_codes: tuple[Annotated[int, Field(ge=200, le=299)], ...] = Field(
        (200, 201, 202, 204), min_length=1, description="http: status codes of success"
    )
    success_pattern: Annotated[str, _optional(_pattern)] = Field(
        "", description="http: regular expression that a successful reply must match; empty: any reply"
    )
    id_path: str = Field(
        "",
        pattern=r"^([^.\s]+(\.[^.\s]+)*)?$",
        description="http: path of the message's id in the JSON reply, such as messages.0.id",
    )
    # sink
    sink_file: Path = Field(
        Path("/var/lib/dtqs/sms.jsonl"), description="sink: file for the messages, one line of JSON each"
    )

    @property
    def attempt_seconds(self) -> float:
        """The time limit of an attempt. The default is enough for all waits that the settings allow."""
        return self.timeout_seconds or max(ATTEMPT_SECONDS, self._longest_seconds + _OWN_SECONDS)

    @property
    def _longest_seconds(self) -> float:
        """The longest time for which an attempt may wait for the provider."""
        connect, request = self.connect_timeout_seconds, self.request_timeout_seconds
        if self.provider != "smpp":
            return connect + request
        # enquire_link on a kept connection; a new one, which binds; the first segment
        first = request + (2 * connect if self.tls else connect) + request + request
        # a further segment that is throttled is submitted again until its time ends, and then gets its last reply
        return first + (self.max_segments - 1) * (2 * request + AGAIN_SECONDS) + self.wait_receipt_seconds

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [key for key in _NEEDED[self.provider] if not getattr(self, key)]
        if missing:
            raise PydanticCustomError(
                "needed",
                "provider = {provider} needs {missing} as well",
                {"provider": self.provider, "missing": ", ".join(missing)},
            )
        if (
            self.provider == "http"
            and self.method != "GET"
            and template.escape_for(self.content_type) is template.in_json
        ):
            self._check_json_body()
        if self.provider == "http" and (other := template.other_encoding(self.content_type, self.body)):
            raise PydanticCustomError(
                "encoding", "content_type or body names the encoding {other}; allowed: utf-8", {"other": other}
            )
        self._check_headers()
        total = self.connect_timeout_seconds + self.request_timeout_seconds + self.wait_receipt_seconds
        if total >= self.attempt_seconds:
            raise PydanticCustomError(
                "times",
                "connecting, waiting for replies and for receipts may take {total} s, but an attempt only {limit} s",
                {"total": f"{total:g}", "limit": f"{self.attempt_seconds:g}"},
            )
        return self

    def _check_headers(self) -> None:
        if self.provider not in ("http", None):
            return
        if "token" in template.names(self.headers) and not _is_printable(self.token):
            raise PydanticCustomError("token", "token must be printable ASCII: headers allow no other characters")
        stated = template.content_type_in(template.headers(self.headers))
        # escaped for another kind of body, a text could add fields to the request
        if (
            self.method != "GET"
            and stated
            and template.escape_for(stated) is not template.escape_for(self.content_type)
        ):
            raise PydanticCustomError(
                "content_type", "headers have a Content-Type of another kind: content_type sets the type of the body"
            )

    def _check_json_body(self) -> None:
        # a placeholder outside quotes works for a number but breaks with most texts
        sample = {name: "1" if name == "segments" else '"' for name in template.NAMES}
        try:
            json.loads(template.fill(self.body, sample, template.in_json))
        except ValueError as error:
            # without the body, which may hold a key
            raise PydanticCustomError("body", "body is not JSON: {why}", {"why": str(error)}) from None
