"""SMS before sending: payloads, settings, templates, receipts, and the sink."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from dtqs.config import Config, load
from dtqs.errors import ConfigError, Invalid, PermanentError, TransientError
from dtqs.processors.catalog import Catalog
from dtqs.processors.sms import SmsProcessor, template
from dtqs.processors.sms.exchange import Exchange
from dtqs.processors.sms.message import Receipt, redacted
from dtqs.processors.sms.numbers import hide_numbers
from dtqs.processors.sms.payload import SmsPayload
from dtqs.processors.sms.pdu import DeliverSm
from dtqs.processors.sms.receipts import Receipts, receipt_in
from dtqs.processors.sms.settings import SmsSettings
from dtqs.processors.sms.smpp import Smpp
from tests.support.fix_processors import Attempt

TO = "+4915112345678"
SINK = "provider = sink"
SMPP = "provider = smpp\nhost = smsc\nsystem_id = a\npassword = b"
TWILIO = "provider = twilio\naccount_sid = AC1\nauth_token = t"


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Config]:
    def build(keys: str) -> Config:
        (tmp_path / "dtqs.ini").write_text(f"[processor:sms]\n{keys}\n", encoding="utf-8")
        return load(tmp_path / "dtqs.ini", {})

    return build


@pytest.fixture
def wrong(config: Callable[[str], Config]) -> Callable[..., dict[str, str]]:
    """Submit a payload under these settings, and return the fault of each field."""

    def ask(keys: str, **payload: Any) -> dict[str, str]:
        try:
            Catalog.load(config(keys)).validate("sms", {"to": TO, "text": "hello", **payload})
        except Invalid as invalid:
            return {problem.field.removeprefix("payload."): problem.message for problem in invalid.problems}
        return {}

    return ask


@pytest.mark.parametrize("to", [TO, "+14155552671", "+393331234567", "+390612345678"])
def test_valid_numbers_are_kept_unchanged(to: str) -> None:
    assert SmsPayload.model_validate({"to": to, "text": "a"}).to == to


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("015112345678", "not a phone number"),
        ("+49 151 12345678", "not a phone number"),
        ("+4915112345678\n", "not a phone number"),
        ("+٤٩١٥١١٢٣٤٥٦٧٨", "not a phone number"),
        ("+999123456789", "no country has this code"),
        ("+1415555267", "too short for country code +1"),
        ("+1415555267111", "too long for country code +1"),
        ("+10005552671", "this range is not in use"),
    ],
)
def test_an_invalid_number_is_refused_without_being_repeated(
    wrong: Callable[..., dict[str, str]], to: str, why: str
) -> None:
    found = wrong(SINK, to=to)
    assert list(found) == ["to"]
    assert why in found["to"]
    assert "as in +4915112345678" in found["to"]
    assert to.strip() == TO or to not in found["to"]


@pytest.mark.parametrize("sender", ["DTQS", "My Shop", "A&B", "a1", "ABCDEFGHIJK", "12345", "+15005550006"])
def test_a_sender_is_a_number_a_short_code_or_a_name(wrong: Callable[..., dict[str, str]], sender: str) -> None:
    assert wrong(SINK, sender=sender) == {}


@pytest.mark.parametrize("sender", ["", "ABCDEFGHIJKL", "12", "123456789", "Müller", "a\nb", " a", "+123", "---"])
def test_all_faults_are_reported_at_once(wrong: Callable[..., dict[str, str]], sender: str) -> None:
    found = wrong(SINK, sender=sender, text=" \n", status_callback="javascript:alert(1)", priority="high")
    assert set(found) == {"sender", "text", "status_callback", "priority"}
    assert "visible character" in found["text"]


def test_faults_against_the_settings_are_reported_at_submit(wrong: Callable[..., dict[str, str]]) -> None:
    keys = f"{SINK}\nallowed_prefixes = +43, +4966\nsenders = DTQS, Parcels\nmax_segments = 2"
    found = wrong(keys, sender="Bank", text="“quoted” " * 20, status_callback="https://example.org/")
    assert set(found) == {"to", "sender", "text", "status_callback"}
    assert found["to"].endswith("allowed prefixes: +43, +4966")
    assert found["sender"].endswith("allowed: DTQS, Parcels")
    assert found["text"] == "3 segments of UCS-2 (outside GSM-7: “ ”); at most 2 are allowed"
    assert wrong(keys, to="+436641234567", sender="DTQS") == {}


def test_twilio_needs_a_sender_and_limits_the_text(wrong: Callable[..., dict[str, str]]) -> None:
    assert set(wrong(f"{TWILIO}\nmax_segments = 20", text="x" * 1601)) == {"sender", "text"}
    assert wrong(f"{TWILIO}\nmessaging_service_sid = MG1", status_callback="https://example.org/") == {}


def test_a_callback_is_refused_unless_the_gateways_request_names_it(wrong: Callable[..., dict[str, str]]) -> None:
    assert set(wrong("provider = http\nurl = http://gateway/", status_callback="https://example.org/")) == {
        "status_callback"
    }
    assert (
        wrong("provider = http\nurl = http://gateway/?call=${status_callback}", status_callback="https://example.org/")
        == {}
    )


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("provider = twilio\naccount_sid = AC1", "provider = twilio needs auth_token as well"),
        ("provider = smpp\nhost = smsc", "provider = smpp needs system_id, password as well"),
        ("provider = http\nurl = http://g/?a=${number}", "unknown ${number}; allowed: ${to}, ${text}"),
        ("provider = http\nurl = http://${to}/", "with a fixed host"),
        ("provider = http\nurl = https://h:99999/${to}", "the port is not valid"),
        ("provider = http\nurl = https://h:abc/${to}", "the port is not valid"),
        (f"{TWILIO}\nbase_url = https://h:0", "the port is not valid"),
        ('provider = http\nurl = http://g/\nbody = {"text": ${text}}', "not JSON"),
        ('headers = {"A b": "c"}', "header 1 is not a header"),
        ("headers = X-A: b", "not JSON"),
        ("provider = http\nurl = http://g/\ncontent_type = text/plain; charset=latin1", "the encoding latin1; allowed"),
        (
            "provider = http\nurl = http://g/\ncontent_type = text/xml\n"
            "body = <?xml version='1.0' encoding='ISO-8859-1'?><a>${text}</a>",
            "the encoding ISO-8859-1; allowed: utf-8",
        ),
        ("success_pattern = (", "not a regular expression"),
        ("allowed_prefixes = 49", "allowed_prefixes"),
        ("sender = not a sender", "not a sender id"),
        ("password = longer than eight", "password"),
        ("timeout_seconds = 20", "an attempt only 20 s"),
        ("password = pässword", "printable ASCII"),
        ("password_file = {nul}", "printable ASCII"),
        ('provider = http\nurl = http://g/\ntoken = schlüssel\nheaders = {"X-Key": "${token}"}', "printable ASCII"),
        ('headers = {"content-type": "text/plain"}', "content_type sets the type of the body"),
        ('headers = {"X-A": "1", "Content-Length": "3"}', "Content-Length is not allowed here"),
        ('headers = {"Transfer-Encoding": "chunked"}', "Transfer-Encoding is not allowed here"),
        (
            'content_type = text/xml\nheaders = {"Content-Type": "application/x-www-form-urlencoded"}',
            "content_type sets the type of the body",
        ),
    ],
)
def test_wrong_settings_are_reported_before_anything_starts(
    config: Callable[[str], Config], tmp_path: Path, keys: str, why: str
) -> None:
    (tmp_path / "nul").write_bytes(b"a\0b")
    keys = keys.replace("{nul}", str(tmp_path / "nul"))
    with pytest.raises(ConfigError) as caught:
        Catalog.load(config(keys))
    assert why in str(caught.value)
    assert not [secret for secret in ("longer than eight", "pässword", "schlüssel") if secret in str(caught.value)]


@pytest.mark.parametrize(
    "keys",
    [
        "token = schlüssel",
        'headers = {"Host": "elsewhere"}',
        'headers = {"content-type": "application/json; charset=utf-8"}',
        'content_type = text/xml\nheaders = {"Content-Type": "application/soap+xml"}\nbody = <a>${text}</a>',
        'method = GET\nheaders = {"Content-Type": "text/plain"}',
    ],
)
def test_settings_of_a_gateway_that_work_are_accepted(config: Callable[[str], Config], keys: str) -> None:
    assert "sms" in Catalog.load(config(f"provider = http\nurl = http://g/\n{keys}")).names()


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [("", 120), (SMPP, 339), (f"{SMPP}\nmax_segments = 1", 120), (f"{SMPP}\ntimeout_seconds = 60", 60)],
)
def test_an_attempt_has_the_time_for_all_its_waits(config: Callable[[str], Config], keys: str, seconds: float) -> None:
    assert Catalog.load(config(keys)).get("sms").timeout_seconds == seconds


@pytest.mark.parametrize(
    ("keys", "payload", "why"),
    [
        ({"allowed_prefixes": ("+43",)}, {}, "allowed prefixes: \\+43"),
        ({"max_segments": 1}, {"text": "x" * 200}, "at most 1 are allowed"),
        ({"senders": ("DTQS",)}, {"sender": "Bank"}, "payload.sender: not an allowed sender"),
    ],
)
def test_settings_that_became_narrower_hold_for_messages_that_wait(
    attempt: Attempt, tmp_path: Path, keys: dict[str, Any], payload: dict[str, str], why: str
) -> None:
    processor = SmsProcessor(SmsSettings(provider="sink", sink_file=tmp_path / "sms", **keys))
    with pytest.raises(PermanentError, match=why):
        processor.run(SmsPayload.model_validate({"to": TO, "text": "hello", **payload}), attempt.context())
    assert not (tmp_path / "sms").exists()
    assert attempt.reports.effects == []


@pytest.mark.parametrize(
    "keys",
    [
        "url = https://u:hunter2@gateway/",
        "url = https://gateway/?key=hunter2&to=${number}",
        "url = https://gateway/hunter2#part",
        "url = https://gateway/${hunter2}",
        'headers = {"Authorization": "Bearer hunter2"',
        'headers = {"Bearer hunter2": "x"}',
        'headers = {"Authorization": "hunter2 ${key}"}',
        'provider = http\nurl = http://g/\nbody = {"key": "hunter2", "text": ${text}}',
        "status_callback = https://u:hunter2@h/",
        "base_url = https://u:hunter2@h",
        "auth_token_file = hunter2",
    ],
)
def test_wrong_settings_are_reported_without_keys_and_passwords(config: Callable[[str], Config], keys: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Catalog.load(config(keys))
    assert "hunter2" not in str(caught.value), caught.value


def test_without_a_provider_a_task_fails_and_names_the_setting(attempt: Attempt) -> None:
    with pytest.raises(PermanentError, match=r"\[processor:sms\] provider"):
        SmsProcessor(SmsSettings()).run(SmsPayload(to=TO, text="hello"), attempt.context())
    assert attempt.reports.effects == []


def test_turns_are_taken_by_sender_and_by_recipient_and_their_keys_contain_no_number(
    attempt: Attempt, tmp_path: Path
) -> None:
    settings = SmsSettings(
        provider="sink",
        sink_file=tmp_path / "sms",
        sender="DTQS",
        sender_per_second=10,
        recipient_per_minute=6,
        recipient_burst=2,
    )
    processor = SmsProcessor(settings)
    processor.run(SmsPayload(to=TO, text="hello"), attempt.context())
    processor.run(SmsPayload(to=TO, text="again", sender="Parcels"), attempt.context())
    limits = [(turn.key.rpartition(":")[0], turn.per_second, turn.burst) for turn in attempt.reports.turns]
    assert limits == [("sms:from", 10, 1), ("sms:to", 0.1, 2)] * 2
    keys = [turn.key for turn in attempt.reports.turns]
    assert keys[1] == keys[3]
    assert keys[0] != keys[2]
    assert not any("15112345678" in key for key in keys)


def test_a_sink_keeps_one_line_for_each_message_and_only_its_owner_may_read_it(
    attempt: Attempt, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "sms.jsonl"
    processor = SmsProcessor(SmsSettings(provider="sink", sink_file=file, sender="DTQS"))
    context = attempt.context()
    result = processor.run(SmsPayload(to=TO, text="one\n€"), context)
    processor.run(SmsPayload(to=TO, text="two"), attempt.context())
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert {**lines[0], "at": ""} == {
        "at": "", "task_id": context.task_id, "to": TO, "sender": "DTQS", "text": "one\n€", "segments": 1,
        "encoding": "GSM-7",
    }  # fmt: skip
    assert lines[1]["text"] == "two"
    assert result == {
        "message_id": context.task_id, "status": "written", "to": TO, "sender": "DTQS", "segments": 1,
        "encoding": "GSM-7", "provider": "sink",
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_full_sink_keeps_no_partial_line_and_the_task_is_retried(attempt: Attempt, tmp_path: Path) -> None:
    file = tmp_path / "sms.jsonl"
    file.write_bytes(b"before\n")
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(TransientError, match="sink did not take the message"):
            SmsProcessor(SmsSettings(provider="sink", sink_file=file)).run(
                SmsPayload(to=TO, text="hello"), attempt.context()
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == b"before\n"


def test_a_sink_that_cannot_be_opened_begins_no_effect(attempt: Attempt, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="Is a directory"):
        SmsProcessor(SmsSettings(provider="sink", sink_file=tmp_path)).run(
            SmsPayload(to=TO, text="hello"), attempt.context()
        )
    assert attempt.reports.effects == []


def test_numbers_and_secrets_are_not_shown() -> None:
    assert hide_numbers(f"to {TO} at 20:15, error 21211") == "to +4915…78 at 20:15, error 21211"
    assert (
        redacted(f"bad\x1b[31m token s3cret\nfor {TO}" + "x" * 400, ("s3cret", ""))[:40]
        == "bad [31m token ******** for +4915…78xxxxxxxx"[:40]
    )
    assert len(redacted("x" * 400)) == 300


def test_a_placeholder_inside_a_value_stays_text() -> None:
    values = dict.fromkeys(template.NAMES, "") | {"text": "${token}", "token": "secret"}
    assert template.fill("a=${text}&b=${token}", values, str) == "a=${token}&b=secret"


def test_a_value_cannot_end_a_header() -> None:
    assert template.fill("x ${text}", {"text": "a\r\nEvil: ü1"}, template.in_header) == "x aEvil: 1"


def test_a_receipt_is_distinguished_from_an_incoming_message() -> None:
    text = b"id:12 sub:001 dlvrd:001 submit date:1 done date:2 stat:EXPIRED err:0B1 text:id:13"
    assert receipt_in(DeliverSm(esm_class=4, text=text)) == Receipt("12", "EXPIRED", "0B1")
    assert receipt_in(DeliverSm(text=text)) == Receipt("12", "EXPIRED", "0B1")
    assert receipt_in(DeliverSm(esm_class=4, text=text, receipted_message_id=b"ff", message_state=2)) == Receipt(
        "ff", "DELIVRD", "0B1"
    )
    assert receipt_in(DeliverSm(text=b"my id: none")) is None


def test_a_receipt_of_any_size_is_kept_short() -> None:
    receipt = receipt_in(DeliverSm(esm_class=4, text=b"id:" + b"1" * 60_000 + b" stat:" + b"X" * 600 + b" err:\x1b[1m"))
    assert receipt
    assert (len(receipt.message_id), receipt.state, receipt.error) == (1000, "X" * 200, "[1m")


@pytest.mark.parametrize(
    ("one", "other", "exact", "number"),
    [
        ("0001", "1", True, True),
        ("0", "00", True, False),
        ("ff", "FF", True, False),
        ("ff", "255", False, True),
        ("00000010", "16", False, True),
        ("a", "b", False, False),
        ("0", "", False, False),
        ("", "", False, False),
    ],
)
def test_ids_of_one_message_are_equal_or_one_number_in_two_forms(
    one: str, other: str, exact: bool, number: bool
) -> None:
    for came, wanted in ((one, other), (other, one)):
        receipts = Receipts()
        receipts.add(Receipt(came, "DELIVRD", None))
        assert bool(receipts.of([wanted])) == (exact or number)
        # beside a message under way with the wanted id, only the id itself counts
        receipts.add(Receipt(wanted, "ENROUTE", None))
        assert bool(receipts.of([wanted])) == exact


def test_a_look_up_reads_none_of_the_other_receipts() -> None:
    """It takes place for each PDU of the server, and at most 1000 messages have a receipt."""
    reads = 0

    class Counted(str):
        """An id that counts how often it is read."""

        def lower(self) -> str:
            nonlocal reads
            reads += 1
            return super().lower()

    receipts, ids = Receipts(), [str(number) for number in range(1_000_000, 1_000_010)]
    for number in range(2000):
        receipts.add(Receipt(Counted(2_000_000 + number), "DELIVRD", None))
    for message_id in ids[:9]:
        receipts.add(Receipt(message_id, "DELIVRD", None))
    reads = 0
    assert [receipt.message_id for receipt in receipts.of(list(map(Counted, ids)))] == ids[:9]
    assert reads == len(ids)
    assert receipts.of(["2000000"]) == (), "the oldest is forgotten"
    assert receipts.of(["2001999"])


@pytest.mark.parametrize(
    ("came", "ids", "found"),
    [
        (["16", "10"], ["16"], ["16"]),
        (["10"], ["16"], ["10"]),
        (["10"], ["10", "16"], ["10"]),
        (["10", "16"], ["10", "16"], ["10", "16"]),
        (["0", ""], [""], []),
        ([""], ["0"], []),
    ],
)
def test_a_receipt_counts_for_the_message_with_its_own_id_first(
    came: list[str], ids: list[str], found: list[str]
) -> None:
    receipts = Receipts()
    for message_id in came:
        receipts.add(Receipt(message_id, "DELIVRD", None))
    assert [receipt.message_id for receipt in receipts.of(ids)] == found


def test_a_message_under_way_by_its_exact_id_has_no_receipt_in_the_other_form() -> None:
    receipts = Receipts()
    receipts.add(Receipt("16", "ENROUTE", None))
    receipts.add(Receipt("10", "DELIVRD", None))
    assert receipts.of(["16"]) == ()


def test_the_last_final_receipt_of_a_message_counts() -> None:
    receipts = Receipts()
    for receipt in (
        Receipt("1", "ENROUTE", None),
        Receipt("2", "DELIVRD", None),
        Receipt("1", "UNDELIV", "7"),
        Receipt("3", "ACCEPTD", None),
    ):
        receipts.add(receipt)
    assert receipts.of(["1", "3", "2"]) == (Receipt("1", "UNDELIV", "7"), Receipt("2", "DELIVRD", None))


def test_receipts_may_arrive_during_a_look_up() -> None:
    receipts = Receipts()

    class Comes(str):
        """An id whose comparison adds a receipt, as the thread of the link may at any time."""

        def lower(self) -> str:
            receipts.add(Receipt("3", "DELIVRD", None))
            return super().lower()

    for message_id in ("1", "2"):
        receipts.add(Receipt(message_id, "DELIVRD", None))
    assert receipts.of([Comes("2")]) == (Receipt("2", "DELIVRD", None),)


def test_a_host_that_no_look_up_takes_is_no_connection() -> None:
    with pytest.raises(TransientError, match=r"no connection to a\.\.b"):
        Exchange("http", 1.0, 1.0, None).look("http://a..b/send")
    settings = SmsSettings().model_copy(update={"host": "a..b"})
    with pytest.raises(TransientError, match=r"no connection to a\.\.b"):
        Smpp(settings).look()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("6834123", "68…23"),
        ("to (415) 555-2671.", "to 4155…71."),
        ("+49 151 12345678", "+4915…78"),
        ("0049-151-123.456-78 failed", "0049…78 failed"),
        ("+49\u2013151\u201112345678", "+4915…78"),
        ("error 21211 at 20:15", "error 21211 at 20:15"),
    ],
)
def test_numbers_are_hidden_in_any_spelling(text: str, shown: str) -> None:
    assert hide_numbers(text) == shown
