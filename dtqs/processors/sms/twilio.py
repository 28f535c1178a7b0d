"""The provider twilio: its REST API for messages, with basic authentication."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson

from dtqs.processors.sms.exchange import NOT_TAKEN_CODES, UNSURE_CODES, Exchange, Reply
from dtqs.processors.sms.message import AcceptedText, SmsNotTaken, SmsRefused, SmsUnsure, TextMessage, redacted
from dtqs.processors.sms.settings import SmsSettings

_TRANSIENT_ERRORS = frozenset({20429, 20500, 20503, 21611, 30001, 63017})
"""Too many requests, Twilio's internal errors, and its full queues. Any other error of a 4xx concerns the message."""
_LOST_STATUSES = frozenset({"failed", "undelivered", "canceled"})
_CREDENTIALS = "the credentials were rejected: check account_sid, api_key_sid and auth_token"


class Twilio:
    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._token = settings.auth_token.get_secret_value() if settings.auth_token else ""
        self._exchange = Exchange(
            "twilio", settings.connect_timeout_seconds, settings.request_timeout_seconds, settings.ca_file
        )

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        settings = self._settings
        url = f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
        credentials = base64.b64encode(
            f"{settings.api_key_sid or settings.account_sid}:{self._token}".encode()
        ).decode()
        headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        body, secrets = urlencode(self._form(message)).encode(), (self._token, credentials, message.secret)
        return self._judge(self._exchange.ask("POST", url, headers, body, begins, secrets), message)

    def look(self) -> str:
        return self._exchange.look(self._settings.base_url)

    def close(self) -> None:
        self._exchange.close()

    def _form(self, message: TextMessage) -> dict[str, str]:
        form = {"To": message.to, "Body": message.text}
        if message.sender:
            form["From"] = message.sender
        if self._settings.messaging_service_sid and not message.sender:
            form["MessagingServiceSid"] = self._settings.messaging_service_sid
        return form | ({"StatusCallback": message.status_callback} if message.status_callback else {})

    def _judge(self, reply: Reply, message: TextMessage) -> AcceptedText:
        """Return the accepted message, or raise the error of the reply, without secrets and phone numbers."""
        facts = _object(reply.text)
        why = f"HTTP {reply.code}"
        if error := facts.get("code") or facts.get("error_code"):
            why += f", error {redacted(str(error), (self._token, message.secret))}"
        if answer := facts.get("message") or facts.get("error_message"):
            why += f": {redacted(str(answer), (self._token, message.secret))}"
        if 200 <= reply.code < 300:
            if reply.is_whole and not facts:
                raise SmsUnsure(f"twilio answered with {why}, but not in its own form: check base_url")
            sid, status = facts.get("sid"), facts.get("status")
            if isinstance(status, str) and status in _LOST_STATUSES:
                raise SmsRefused("twilio", why)
            return AcceptedText(
                sid if isinstance(sid, str) else None, status if isinstance(status, str) else "accepted"
            )
        # a list or an object, which the JSON may hold, cannot be looked up in a set
        is_transient = isinstance(error, int) and error in _TRANSIENT_ERRORS
        if reply.code in NOT_TAKEN_CODES or is_transient:
            raise SmsNotTaken("twilio", why, reply.retry_after_seconds)
        if reply.code >= 500:
            raise (
                SmsUnsure(f"twilio answered with {why}")
                if reply.code in UNSURE_CODES
                else SmsNotTaken("twilio", why, reply.retry_after_seconds)
            )
        raise SmsRefused(
            "twilio", f"{why}; {_CREDENTIALS}" if reply.code in (401, 403) and error in (None, 20003) else why
        )


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
