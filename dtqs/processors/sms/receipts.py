"""Delivery receipts as SMPP carries them: how one is told from a message, and which message it is about; pure."""

import re
from collections import deque
from collections.abc import Sequence
from typing import Any

from dtqs.processors.sms.message import Receipt

_KINDS, _RECEIPT, _NOTIFICATION = 0x3C, 0x04, 0x20
"""Bits of esm_class: what sort of message it is; a receipt, a notification on the way."""
_STATES = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}
_UNDER_WAY = frozenset({"ENROUTE", "ACCEPTD"})
_KEPT = 1000
_ID_CHARACTERS = 100
"""Longer ids are compared as text only: SMPP allows 64 octets, and Python refuses to read thousands of digits."""
_BEGIN, _STATE = re.compile(r"\bid:\S"), re.compile(r"\bstat:\w")


def receipt_in(pdu: Any) -> Receipt | None:
    """Return the receipt in a deliver_sm; None where it is a message from somebody."""
    text = (pdu.short_message or pdu.message_payload or b"").decode("latin-1")
    if not pdu.esm_class & _KINDS & (_RECEIPT | _NOTIFICATION) and not _looks_like_one(text):
        return None
    message_id = (pdu.receipted_message_id or b"").decode("latin-1") or _word("id", text)
    state = _STATES.get(pdu.message_state) or _word("stat", text).upper()
    return Receipt(message_id, state, _word("err", text) or None)


def _looks_like_one(text: str) -> bool:
    """Tell whether an id comes before a state. Two searches: one expression for both took time by the cube of the length."""
    begin = _BEGIN.search(text)
    return begin is not None and _STATE.search(text, begin.end()) is not None


def _word(name: str, text: str) -> str:
    match = re.search(rf"\b{name}:(\S+)", text)
    return match[1] if match else ""


class Receipts:
    """The receipts that came lately, for those that wait for them."""

    def __init__(self) -> None:
        self._came: deque[Receipt] = deque(maxlen=_KEPT)

    def add(self, receipt: Receipt) -> None:
        self._came.append(receipt)

    def of(self, message_ids: Sequence[str]) -> tuple[Receipt, ...]:
        """Return the last word on each of the messages of which there is one, in their order."""
        found, came = (
            [],
            list(self._came),
        )  # those that come meanwhile, in the link's own thread, would end a walk over the deque itself
        for message_id in message_ids:
            about = [
                receipt
                for receipt in came
                if is_same(receipt.message_id, message_id) and receipt.state not in _UNDER_WAY
            ]
            found += about[-1:]
        return tuple(found)


def is_same(one: str, other: str) -> bool:
    """Tell whether two ids are of one message: servers write them in hexadecimal here and in decimal there, with zeros before or without."""
    one, other = one.lower().lstrip("0"), other.lower().lstrip("0")
    return one == other or _is_hex_of(one, other) or _is_hex_of(other, one)


def _is_hex_of(hexadecimal: str, decimal: str) -> bool:
    if max(len(hexadecimal), len(decimal)) > _ID_CHARACTERS:
        return False
    return bool(re.fullmatch("[0-9a-f]+", hexadecimal) and re.fullmatch("[0-9]+", decimal)) and int(
        hexadecimal, 16
    ) == int(decimal)
