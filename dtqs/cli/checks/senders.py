"""Check the mail server and the SMS provider: connect as for sending, and send nothing."""

from collections.abc import Iterator
from typing import TypeVar

from dtqs.cli.checks.check import FAILED, OK, Check
from dtqs.config import Config
from dtqs.errors import PermanentError, TransientError
from dtqs.processors.email.faults import MailRefused
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.email.smtp import MailServer
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.sms.settings import SmsSettings

S = TypeVar("S", EmailSettings, SmsSettings)
LIMIT_SECONDS = 5.0
"""Longest wait for an answer. A slower server counts as unavailable."""


def mail_server(config: Config) -> Iterator[Check]:
    """Check the mail server by EHLO, STARTTLS and login, if e-mails are sent and a sender is configured."""
    settings = config.processor("email", EmailSettings)
    if settings.backend != "smtp" or not (settings.sender or settings.allowed_senders):
        return
    try:
        found = MailServer(_impatient(settings, "connect_timeout_seconds", "reply_timeout_seconds")).look()
    except MailRefused as error:
        yield Check(
            "mail server",
            FAILED,
            str(error),
            "are username, password and security of [processor:email] right? E-mail tasks fail until then",
        )
    except TransientError as error:
        why, keys = str(error).removesuffix("; nothing was sent"), "host, port, security and ca_file"
        yield Check(
            "mail server",
            FAILED,
            why,
            f"is it running, and are {keys} of [processor:email] right? E-mail tasks are retried until then",
        )
    else:
        yield Check("mail server", OK, found)


def sms_provider(config: Config) -> Iterator[Check]:
    """Check that the provider accepts a connection. Nothing is sent on it, since each request may cost money."""
    settings = config.processor("sms", SmsSettings)
    processor = SmsProcessor(_impatient(settings, "connect_timeout_seconds"))
    try:
        where = processor.look()
    except (PermanentError, TransientError) as error:
        keys = {"smpp": "host, port, tls", "twilio": "base_url", "http": "url"}.get(settings.provider or "", "provider")
        yield Check(
            "SMS provider",
            FAILED,
            str(error),
            f"are {keys} and ca_file of [processor:sms] right, and does a firewall let it through?",
        )
    else:
        if where:
            yield Check("SMS provider", OK, f"{settings.provider}: {where} is reachable; login not checked")


def _impatient(settings: S, *names: str) -> S:
    return settings.model_copy(update={name: min(LIMIT_SECONDS, getattr(settings, name)) for name in names})
