"""The provider http: a request to any gateway, made from templates; its reply is judged by code, pattern and path."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from dtqs.processors.sms.exchange import NOT_TAKEN_CODES, UNSURE_CODES, Exchange, Reply
from dtqs.processors.sms.message import AcceptedText, SmsNotTaken, SmsRefused, SmsUnsure, TextMessage, redacted
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.template import content_type_in, escape_for, fill, headers, in_header, in_url


class Http:
    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._token = settings.token.get_secret_value() if settings.token else ""
        self._exchange = Exchange(
            "http", settings.connect_timeout_seconds, settings.request_timeout_seconds, settings.ca_file
        )

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        settings, values = self._settings, self._values(message)
        sent_headers = {
            name: fill(template, values, in_header).strip() for name, template in headers(settings.headers).items()
        }
        body = b""
        if settings.method != "GET":
            body = fill(settings.body, values, escape_for(settings.content_type)).encode()
            if content_type_in(sent_headers) is None:
                sent_headers["Content-Type"] = settings.content_type
        return self._judge(
            self._exchange.ask(
                settings.method,
                fill(settings.url, values, in_url),
                sent_headers,
                body,
                begins,
                (self._token, message.secret),
            ),
            message,
        )

    def look(self) -> str:
        return self._exchange.look(self._settings.url)

    def close(self) -> None:
        self._exchange.close()

    def _values(self, message: TextMessage) -> dict[str, str]:
        return {
            "to": message.to,
            "text": message.text,
            "sender": message.sender or "",
            "id": message.task_id,
            "segments": str(message.segments.count),
            "encoding": message.segments.encoding,
            "status_callback": message.status_callback or "",
            "token": self._token,
        }

    def _judge(self, reply: Reply, message: TextMessage) -> AcceptedText:
        answer = redacted(reply.text, (self._token, message.secret))
        why = f"HTTP {reply.code}" + (f": {answer}" if answer else "")
        if reply.code in self._settings.success_codes:
            if self._settings.success_pattern and not re.search(self._settings.success_pattern, reply.text):
                if not reply.is_whole:
                    raise SmsUnsure(f"http sent an incomplete answer: {why}")
                raise SmsRefused("http", f"{why}; success_pattern does not match")
            return AcceptedText(_at(reply.text, self._settings.id_path), "accepted")
        if 200 <= reply.code < 300 or reply.code in UNSURE_CODES:
            raise SmsUnsure(f"http answered with {why}")
        if reply.code in NOT_TAKEN_CODES or reply.code >= 500:
            raise SmsNotTaken("http", why, reply.retry_after_seconds)
        raise SmsRefused("http", why)


def _at(text: str, path: str) -> str | None:
    """Return the reply's value at a path, as text; None if it is missing, since the message was accepted anyway."""
    try:
        value: Any = orjson.loads(text) if path else None
        for step in path.split(".") if path else ():
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (ValueError, LookupError, TypeError):
        return None
    return str(value) if isinstance(value, str | int) else None
