"""Reads a PDU of SMPP from its bytes: the fields that DTQS uses, and no others; pure.

smpplib's parser refuses a whole PDU for one optional parameter that its class does not list, and servers add them.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

HEADER_BYTES = 16
_RESPONSE = 0x80000000
_RECEIPTED_MESSAGE_ID, _MESSAGE_PAYLOAD, _MESSAGE_STATE = 0x001E, 0x0424, 0x0427
_UNKNOWN_ERROR = 0xFF
"""The status of a nack without one: a zero would mean that the request succeeded."""
_NUL = b"\0"


class Command(StrEnum):
    """The commands that DTQS tells apart; a response has the command of its request."""

    GENERIC_NACK = "generic_nack"
    SUBMIT_SM = "submit_sm"
    DELIVER_SM = "deliver_sm"
    UNBIND = "unbind"
    ENQUIRE_LINK = "enquire_link"
    ALERT_NOTIFICATION = "alert_notification"
    OTHER = "other"


_COMMANDS = {
    0x00000000: Command.GENERIC_NACK,
    0x00000004: Command.SUBMIT_SM,
    0x00000005: Command.DELIVER_SM,
    0x00000006: Command.UNBIND,
    0x00000015: Command.ENQUIRE_LINK,
    0x00000102: Command.ALERT_NOTIFICATION,
}


@dataclass(frozen=True, slots=True)
class DeliverSm:
    """A deliver_sm. `text` is the short message or, without one, the message payload."""

    esm_class: int = 0
    text: bytes = b""
    receipted_message_id: bytes = b""
    message_state: int | None = None


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU. A response to submit_sm has `message_id`; a message that can be read has `deliver_sm`."""

    command: Command
    is_response: bool
    status: int
    sequence: int
    message_id: bytes = b""
    deliver_sm: DeliverSm | None = None


def read(raw: bytes) -> Pdu:
    """Read a complete PDU, of 16 bytes or more. It never fails: the header alone says which PDU it is."""
    code, status, sequence = struct.unpack_from(">LLL", raw, 4)
    command, is_response = _COMMANDS.get(code & ~_RESPONSE, Command.OTHER), bool(code & _RESPONSE)
    if command is Command.GENERIC_NACK and not status:
        status = _UNKNOWN_ERROR
    body = raw[HEADER_BYTES:]
    message_id = body.partition(_NUL)[0] if command is Command.SUBMIT_SM and is_response else b""
    deliver_sm = _deliver_sm(body) if command is Command.DELIVER_SM and not is_response else None
    return Pdu(command, is_response, status, sequence, message_id, deliver_sm)


def _deliver_sm(body: bytes) -> DeliverSm | None:
    """Read a deliver_sm; None if it ends before its short message."""
    try:
        at = _after_text(body, 0) + 2  # service_type; type and plan of the source
        at = _after_text(body, at) + 2  # source_addr; type and plan of the destination
        at = _after_text(body, at)  # destination_addr
        esm_class = body[at]
        at = _after_text(body, at + 3)  # esm_class, protocol_id, priority_flag; schedule_delivery_time
        at = _after_text(body, at) + 4  # validity_period; registered_delivery to sm_default_msg_id
        end = at + 1 + body[at]
    except (IndexError, ValueError):
        return None
    options = _options(body[end:])
    return DeliverSm(
        esm_class,
        body[at + 1 : end] or options.get(_MESSAGE_PAYLOAD, b""),
        options.get(_RECEIPTED_MESSAGE_ID, b"").partition(_NUL)[0],
        int.from_bytes(options[_MESSAGE_STATE]) if _MESSAGE_STATE in options else None,
    )


def _after_text(body: bytes, at: int) -> int:
    """Return the place behind a text that ends with NUL. Raises ValueError."""
    return body.index(_NUL, at) + 1


def _options(data: bytes) -> dict[int, bytes]:
    """Return the optional parameters by tag: each has a tag and a length of two bytes, and a value."""
    found, at = dict[int, bytes](), 0
    while at + 4 <= len(data):
        tag, length = struct.unpack_from(">HH", data, at)
        found[tag] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found
