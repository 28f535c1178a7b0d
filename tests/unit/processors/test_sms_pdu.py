"""PDUs of SMPP as servers send them: optional parameters of any kind, texts without an end, and fields cut short."""

import struct

import pytest
from smpplib import consts, smpp
from smpplib.client import SimpleSequenceGenerator

from dtqs.processors.sms.pdu import Command, DeliverSm, Pdu, read

SUBMIT_SM_RESP, DELIVER_SM, ENQUIRE_LINK_RESP = 0x80000004, 0x00000005, 0x80000015
TAGS = sorted({*consts.OPTIONAL_PARAMS.values(), 0x1400, 0xFFFF})


def option(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value


def pdu(code: int, body: bytes, status: int = 0) -> bytes:
    return struct.pack(">LLLL", 16 + len(body), code, status, 7) + body


def deliver_sm(text: bytes, *options: bytes) -> bytes:
    made = smpp.make_pdu(
        "deliver_sm", client=SimpleSequenceGenerator(), esm_class=4, source_addr="4915112345678", short_message=text
    )
    return bytes(made.generate()) + b"".join(options)


@pytest.mark.parametrize("value", [b"", b"\1", b"OK\0", b"x" * 300])
@pytest.mark.parametrize("tag", TAGS)
def test_a_response_may_have_any_optional_parameter(tag: int, value: bytes) -> None:
    for status in (consts.SMPP_ESME_ROK, consts.SMPP_ESME_RTHROTTLED):
        raw = pdu(SUBMIT_SM_RESP, b"4711\0" + option(tag, value), status)
        assert read(raw) == Pdu(Command.SUBMIT_SM, True, status, 7, b"4711")


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag not in (0x001E, 0x0424, 0x0427)])
def test_a_receipt_may_have_any_optional_parameter(tag: int) -> None:
    raw = deliver_sm(b"", option(tag, b"\1"), option(0x001E, b"4711\0"), option(0x0427, b"\2"))
    assert read(raw).deliver_sm == DeliverSm(4, b"", b"4711", 2)


def test_the_payload_of_a_message_is_its_text_if_it_has_no_short_one() -> None:
    payload = option(0x0424, b"id:1 stat:DELIVRD")
    assert read(deliver_sm(b"", payload)).deliver_sm == DeliverSm(4, b"id:1 stat:DELIVRD")
    assert read(deliver_sm(b"short", payload)).deliver_sm == DeliverSm(4, b"short")


@pytest.mark.parametrize(
    ("body", "message_id"), [(b"", b""), (b"\0", b""), (b"4711", b"4711"), (b"4711\0", b"4711"), (b"a\0\0\0", b"a")]
)
def test_a_message_id_is_read_with_and_without_its_end(body: bytes, message_id: bytes) -> None:
    assert read(pdu(SUBMIT_SM_RESP, body)).message_id == message_id


def test_a_response_without_fields_may_have_a_body() -> None:
    assert read(pdu(ENQUIRE_LINK_RESP, b"\0")) == Pdu(Command.ENQUIRE_LINK, True, 0, 7)


def test_a_nack_is_never_a_success() -> None:
    assert [read(pdu(0x80000000, b"", status)).status for status in (0, 3)] == [0xFF, 3]


def test_a_message_that_is_cut_short_is_no_delivery() -> None:
    raw = deliver_sm(b"")
    assert [at for at in range(16, len(raw)) if read(raw[:at]).deliver_sm is not None] == []
    assert read(raw).deliver_sm == DeliverSm(4)


def test_an_option_that_is_cut_short_ends_the_options() -> None:
    raw = deliver_sm(b"", option(0x0427, b"\2"), b"\x04\x23\xff\xff\0")
    assert read(raw).deliver_sm == DeliverSm(4, message_state=2)
    assert read(deliver_sm(b"", b"\x04\x27\0")).deliver_sm == DeliverSm(4)
