"""The doctor's checks of what mails and SMS go through: connected to as for sending, and nothing is sent."""

from collections.abc import Iterator
from typing import TypeVar

from dtqs.cli.checks import FAILED, OK, Check
from dtqs.config import Config
from dtqs.errors import PermanentError, TransientError
from dtqs.processors.email.faults import MailRefused
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.email.smtp import MailServer
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.sms.settings import SmsSettings

S = TypeVar("S", EmailSettings, SmsSettings)
LIMIT_SECONDS = 5.0
"""Each answer that is waited for comes within this time, or the server is as good as away."""


def mail_server(config: Config) -> Iterator[Check]:
    """Check the mail server by EHLO, STARTTLS and login, where mails are sent and somebody may be their sender."""
    settings = config.processor("email", EmailSettings)
    if settings.backend != "smtp" or not (settings.sender or settings.allowed_senders):
        return
    try:
        found = MailServer(_hasty(settings, "connect_timeout_seconds", "reply_timeout_seconds")).look()
    except MailRefused as error:
        yield Check(
            "mail server",
            FAILED,
            str(error),
            "are username, password and security of [processor:email] right? Mails fail meanwhile",
        )
    except TransientError as error:
        why, keys = str(error).removesuffix("; nothing was sent"), "host, port, security and ca_file"
        yield Check(
            "mail server",
            FAILED,
            why,
            f"is it running, and are {keys} of [processor:email] right? Mails are tried again meanwhile",
        )
    else:
        yield Check("mail server", OK, found)


def sms_provider(config: Config) -> Iterator[Check]:
    """Check that the provider can be connected to; no word is said, since each may cost something."""
    settings = config.processor("sms", SmsSettings)
    processor = SmsProcessor(_hasty(settings, "connect_timeout_seconds"))
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
            yield Check("SMS provider", OK, f"{settings.provider}: {where} is reachable; no login was tried")


def _hasty(settings: S, *names: str) -> S:
    return settings.model_copy(update={name: min(LIMIT_SECONDS, getattr(settings, name)) for name in names})
