"""The steps of one task of type `sms`, in order. Each provider is a module of its own."""

import hashlib
import logging
from collections.abc import Sequence
from typing import ClassVar, NoReturn

from dtqs.backoff import pause_seconds
from dtqs.errors import EffectUnknown, PermanentError, Problem, TransientError
from dtqs.processors import checks
from dtqs.processors.base import Context, Json, Processor
from dtqs.processors.sms.message import AcceptedText, Provider, Receipt, SmsNotTaken, SmsUnsure, TextMessage, plain
from dtqs.processors.sms.numbers import hide_numbers
from dtqs.processors.sms.payload import SmsPayload
from dtqs.processors.sms.segments import TextSegments, beyond_gsm, segment
from dtqs.processors.sms.settings import ATTEMPT_SECONDS, MAX_RETRIES, SmsSettings
from dtqs.processors.sms.sink import SmsSink
from dtqs.processors.sms.smpp import Smpp
from dtqs.processors.sms.template import fill, in_url, names
from dtqs.turn import Turn

_TWILIO_CHARACTERS = 1600
logger = logging.getLogger(__name__)


class SmsProcessor(Processor[SmsPayload, SmsSettings]):
    """Sends texts through one provider, which keeps its connection."""

    name = "sms"
    payload_model = SmsPayload
    settings_model = SmsSettings
    max_retries = MAX_RETRIES
    yields_to_retry = True
    timeout_seconds = ATTEMPT_SECONDS
    examples: ClassVar[Sequence[Json]] = (
        {"to": "+4915112345678", "text": "Your parcel comes today between 2 and 3 p.m."},
        {"to": "+4915112345678", "text": "Ihr Code: 482913", "sender": "DTQS"},
    )

    def __init__(self, settings: SmsSettings) -> None:
        super().__init__(settings)
        self.timeout_seconds = settings.attempt_seconds
        self._provider = _provider_of(settings)

    def problems(self, payload: SmsPayload) -> Sequence[Problem]:
        found = [self._number_problem(payload), *self._text_problems(payload), self._sender_problem(payload)]
        if payload.status_callback and not self._has_callback:
            found.append(
                Problem("payload.status_callback", f"the provider {self.settings.provider} has none; leave it out")
            )
        return [problem for problem in found if problem]

    def run(self, payload: SmsPayload, context: Context) -> Json:
        if self._provider is None:
            raise PermanentError("no provider is configured: see [processor:sms] provider")
        checks.refuse(self.problems(payload))
        message = self._message(payload, context.task_id)
        self._take_turns(message, context)
        try:
            sent = self._provider.send(message, lambda: context.effect_begins(self.settings.on_ambiguous))
        except SmsUnsure as unsure:
            self._settle_unsure(unsure, context)
        except SmsNotTaken as fault:
            # the provider may name a later time
            fault.retry_after_seconds = max(fault.retry_after_seconds, self._pause_seconds(context))
            raise
        # first of all: if anything interrupts the rest, the carrier already has the message
        context.effect_happened(self._result(message, sent))
        self._log_handover(message, sent)
        if self.settings.wait_receipt_seconds and isinstance(self._provider, Smpp):
            sent = self._provider.wait_receipts(sent)
        return self._result(message, sent)

    def look(self) -> str | None:
        """Connect to the provider as for a message, send nothing, and return the address; None without a server.

        Raises SmsNotTaken.
        """
        return self._provider.look() if self._provider else None

    def close(self) -> None:
        """Close the provider's connections. Safe to call twice."""
        if self._provider is not None:
            self._provider.close()

    @property
    def _has_callback(self) -> bool:
        settings = self.settings
        in_templates = any(
            "status_callback" in names(template) for template in (settings.url, settings.body, settings.headers)
        )
        return settings.provider in ("twilio", None) or (settings.provider == "http" and in_templates)

    def _number_problem(self, payload: SmsPayload) -> Problem | None:
        allowed = self.settings.allowed_prefixes
        if not allowed or payload.to.startswith(allowed):
            return None
        return Problem("payload.to", f"messages to this number are not allowed; allowed prefixes: {', '.join(allowed)}")

    def _text_problems(self, payload: SmsPayload) -> list[Problem]:
        found, segments = [], segment(payload.text)
        if segments.count > self.settings.max_segments:
            found.append(
                Problem(
                    "payload.text",
                    f"{_described(segments, payload.text)}; at most {self.settings.max_segments} are allowed",
                )
            )
        if self.settings.provider == "twilio" and len(payload.text) > _TWILIO_CHARACTERS:
            found.append(
                Problem("payload.text", f"{len(payload.text)} characters; twilio takes {_TWILIO_CHARACTERS} at most")
            )
        return found

    def _sender_problem(self, payload: SmsPayload) -> Problem | None:
        settings = self.settings
        if payload.sender and settings.senders and payload.sender not in (*settings.senders, settings.sender):
            return Problem("payload.sender", f"not an allowed sender; allowed: {', '.join(settings.senders)}")
        if settings.provider == "twilio" and not (payload.sender or settings.sender or settings.messaging_service_sid):
            return Problem("payload.sender", "must be given: neither sender nor messaging_service_sid is configured")
        return None

    def _message(self, payload: SmsPayload, task_id: str) -> TextMessage:
        settings = self.settings
        callback = payload.status_callback or fill(settings.status_callback, {"id": task_id}, in_url)
        # the service chooses the sender of a message that names none
        own = "" if settings.provider == "twilio" and settings.messaging_service_sid else settings.sender
        return TextMessage(
            task_id,
            payload.to,
            payload.text,
            payload.sender or own or None,
            callback or None,
            segment(payload.text),
        )

    def _take_turns(self, message: TextMessage, context: Context) -> None:
        """Take a turn of each rate limit; without one, the task waits in the backlog."""
        settings, turns = self.settings, list[Turn]()
        if settings.sender_per_second and message.sender:
            turns.append(Turn(f"sms:from:{_digest(message.sender)}", settings.sender_per_second, settings.sender_burst))
        if settings.recipient_per_minute:
            turns.append(
                Turn(f"sms:to:{_digest(message.to)}", settings.recipient_per_minute / 60, settings.recipient_burst)
            )
        context.take_all(turns)

    def _pause_seconds(self, context: Context) -> float:
        return pause_seconds(context.attempt, self.settings.retry_base_seconds, self.settings.retry_max_seconds)

    def _settle_unsure(self, unsure: SmsUnsure, context: Context) -> NoReturn:
        """Log the uncertainty, and raise the error that settles the task as configured."""
        context.log(
            "nobody knows whether the message was sent",
            level="warning",
            reason=str(unsure),
            on_ambiguous=self.settings.on_ambiguous,
        )
        if self.settings.on_ambiguous == "retry":
            raise TransientError(
                f"{unsure}; it may have been sent, and is sent again", retry_after_seconds=self._pause_seconds(context)
            ) from unsure
        raise EffectUnknown(str(unsure), self.name) from unsure

    def _log_handover(self, message: TextMessage, sent: AcceptedText) -> None:
        ids = {"task_id": message.task_id, "provider": self.settings.provider, "to": hide_numbers(message.to)}
        logger.info("message handed over", extra={**ids, **_facts(message, sent)})

    def _result(self, message: TextMessage, sent: AcceptedText) -> dict[str, Json]:
        result = {
            **_facts(message, sent),
            "to": message.to,
            "sender": message.sender,
            "encoding": message.segments.encoding,
        }
        result["provider"] = self.settings.provider
        if sent.part_ids:
            result["part_ids"] = [plain(part_id) for part_id in sent.part_ids]
        if self.settings.wait_receipt_seconds and self.settings.provider == "smpp":
            result["receipts"] = [_receipt(receipt) for receipt in sent.receipts]
        return result


def _facts(message: TextMessage, sent: AcceptedText) -> dict[str, Json]:
    return {
        "message_id": sent.message_id and plain(sent.message_id),
        "status": plain(sent.status),
        "segments": message.segments.count,
    }


def _receipt(receipt: Receipt) -> Json:
    return {
        "message_id": plain(receipt.message_id),
        "state": plain(receipt.state),
        "error": receipt.error and plain(receipt.error),
    }


def _described(segments: TextSegments, text: str) -> str:
    odd = beyond_gsm(text)
    why = f" (outside GSM-7: {' '.join(odd[:10])}{' …' if len(odd) > 10 else ''})" if odd else ""
    return f"{segments.count} segments of {segments.encoding}{why}"


def _digest(number: str) -> str:
    # the table of rate limits keeps its keys, and phone numbers must not be kept there
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def _provider_of(settings: SmsSettings) -> Provider | None:
    """Build the configured provider. httpx, for two of them, costs 3 MB and a fortieth of the time of a start."""
    if settings.provider == "twilio":
        from dtqs.processors.sms.twilio import Twilio

        return Twilio(settings)
    if settings.provider == "http":
        from dtqs.processors.sms.http import Http

        return Http(settings)
    if settings.provider is None:
        return None
    return Smpp(settings) if settings.provider == "smpp" else SmsSink(settings)
