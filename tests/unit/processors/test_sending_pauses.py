"""Retries of e-mails and SMS: they outlast a fault of hours, and a server's greylisting."""

from pathlib import Path
from typing import Any

import pytest

from dtqs.backoff import pause_seconds
from dtqs.config import load
from dtqs.errors import TransientError
from dtqs.processors.base import Processor
from dtqs.processors.catalog import Catalog
from dtqs.processors.email import EmailProcessor
from dtqs.processors.email.faults import AllDeferred, MailDeferred, ServerUnreachable
from dtqs.processors.email.payload import EmailPayload
from dtqs.processors.email.settings import EmailSettings
from dtqs.processors.email.smtp import MailServer
from dtqs.processors.sms import SmsProcessor
from dtqs.processors.sms.message import SmsNotTaken, SmsUnsure
from dtqs.processors.sms.payload import SmsPayload
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.smpp import Smpp
from tests.support.fix_processors import Attempt

HOUR = 3600.0
CHOSEN, OWN = "[retry]\nmax_retries = 2\n", "[retry]\nmax_retries = 2\n[processor:NAME]\nmax_retries = 9\n"
HELLO = EmailPayload.model_validate({"to": ["ada@example.net"], "subject": "s", "text": "t"})


def email(**keys: Any) -> EmailProcessor:
    return EmailProcessor(EmailSettings.model_validate({"sender": "shop@example.org", **keys}))


def sms(**keys: Any) -> SmsProcessor:
    own = {"provider": "smpp", "host": "h", "system_id": "a", "password": "b"}
    return SmsProcessor(SmsSettings.model_validate({**own, **keys}))


def lasts_seconds(processor: Processor[Any, Any], jitter: float) -> float:
    """Return the sum of all pauses of a task whose every attempt fails."""
    base, most = processor.settings.retry_base_seconds, processor.settings.retry_max_seconds
    retries = processor.max_retries or 0
    return sum(pause_seconds(attempt, base, most, jitter) for attempt in range(1, retries + 1))


def test_the_retries_of_an_email_take_five_to_seven_hours_and_those_of_a_message_an_hour() -> None:
    assert 5 * HOUR < lasts_seconds(email(), 0) < lasts_seconds(email(), 1) < 7 * HOUR
    assert 0.9 * HOUR < lasts_seconds(sms(), 0) < lasts_seconds(sms(), 1) < 1.4 * HOUR
    # greylisting ends after five minutes to an hour
    pauses = [pause_seconds(attempt, 60, 1800, 0) for attempt in range(1, 21)]
    assert pauses[:10] == [0, 0, 0, 0, 0, 60, 120, 240, 480, 960]
    assert pauses[-1] == 1800


def test_the_settings_win_over_the_types_own_retries() -> None:
    assert (email().max_retries, email(max_retries=2).max_retries) == (20, 2)
    assert (sms().max_retries, sms(max_retries=0).max_retries) == (20, 0)


@pytest.mark.parametrize(("text", "retries"), [("", 20), ("[retry]\nmax_retries = 5\n", 20), (CHOSEN, None), (OWN, 9)])
@pytest.mark.parametrize("name", ["email", "sms"])
def test_a_number_that_an_operator_has_chosen_for_all_types_holds(
    tmp_path: Path, text: str, retries: int | None, name: str
) -> None:
    path = tmp_path / "dtqs.ini"
    path.write_text(text.replace("NAME", name))
    assert Catalog.load(load(path, {})).get(name).max_retries == retries


def test_a_pause_is_up_to_a_quarter_longer_and_never_without_end() -> None:
    assert [pause_seconds(8, 10, 300, jitter) for jitter in (0, 1)] == [40, 50]
    assert 40 <= pause_seconds(8, 10, 300) <= 50
    assert pause_seconds(1000, 10, 300, 1) == 375


@pytest.mark.parametrize(
    "fault", [ServerUnreachable("mx", "is away"), MailDeferred("mx", "the e-mail", 451, "later"), AllDeferred([])]
)
def test_a_fault_of_the_mail_server_grows_the_pause(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, fault: TransientError
) -> None:
    def deliver(*_: object) -> None:
        raise fault

    monkeypatch.setattr(MailServer, "deliver", deliver)
    for number, least in ((1, 0), (5, 0), (6, 60), (9, 480), (20, 1800)):
        with pytest.raises(type(fault)) as caught:
            email().run(HELLO, attempt.context(number))
        assert least <= caught.value.retry_after_seconds <= least * 1.25


@pytest.mark.parametrize(
    ("fault", "error"), [(SmsNotTaken("smpp", "queue full"), SmsNotTaken), (SmsUnsure("no reply"), TransientError)]
)
def test_a_fault_of_the_provider_grows_the_pause(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, fault: Exception, error: type[TransientError]
) -> None:
    def send(*_: object) -> None:
        raise fault

    monkeypatch.setattr(Smpp, "send", send)
    for number, least in ((1, 0), (5, 0), (6, 30), (9, 240), (20, 300)):
        with pytest.raises(error) as caught:
            sms(on_ambiguous="retry").run(SmsPayload(to="+4915112345678", text="a"), attempt.context(number))
        assert least <= caught.value.retry_after_seconds <= least * 1.25


def test_a_later_time_of_the_provider_counts(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: object) -> None:
        raise SmsNotTaken("smpp", "busy", 4000)

    monkeypatch.setattr(Smpp, "send", send)
    with pytest.raises(SmsNotTaken) as caught:
        sms().run(SmsPayload(to="+4915112345678", text="a"), attempt.context())
    assert caught.value.retry_after_seconds == 4000
