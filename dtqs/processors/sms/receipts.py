"""DeliverSm receipts of SMPP: telling one from a message, and finding the message that it is about; pure."""

import re
from collections import deque
from collections.abc import Sequence

from dtqs.processors.sms.message import Receipt, plain
from dtqs.processors.sms.pdu import DeliverSm

_KINDS, _RECEIPT, _NOTIFICATION = 0x3C, 0x04, 0x20
"""Bits of esm_class: the mask of the message type, a receipt, an intermediate notification."""
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
_KEPT, _MOST_CHARACTERS = 1000, 1000
_ID_CHARACTERS = 100
"""Longer ids are compared as text only: SMPP allows 64 octets, and Python refuses to parse thousands of digits."""
_BEGIN, _STATE = re.compile(r"\bid:\S"), re.compile(r"\bstat:\w")


def receipt_in(received: DeliverSm) -> Receipt | None:
    """Return the receipt in a deliver_sm; None for an incoming message."""
    text = received.text.decode("latin-1")
    if not received.esm_class & _KINDS & (_RECEIPT | _NOTIFICATION) and not _looks_like_one(text):
        return None
    message_id = received.receipted_message_id.decode("latin-1") or _word("id", text)
    state = _STATES.get(received.message_state or 0) or _word("stat", text).upper()
    return Receipt(message_id[:_MOST_CHARACTERS], plain(state), plain(_word("err", text)) or None)


def _looks_like_one(text: str) -> bool:
    """Tell whether an id comes before a state.

    Two searches, because one expression for both took time by the cube of the length.
    """
    begin = _BEGIN.search(text)
    return begin is not None and _STATE.search(text, begin.end()) is not None


def _word(name: str, text: str) -> str:
    match = re.search(rf"\b{name}:(\S+)", text)
    return match[1] if match else ""


class Receipts:
    """The most recent receipts, for tasks that wait for them."""

    def __init__(self) -> None:
        self._came: deque[Receipt] = deque(maxlen=_KEPT)

    def add(self, receipt: Receipt) -> None:
        self._came.append(receipt)

    def of(self, message_ids: Sequence[str]) -> tuple[Receipt, ...]:
        """Return the latest final receipt of each message that has one, in the order of the ids."""
        # a copy: the link's own thread may add receipts, which breaks an iteration over the deque
        found, came = [], list(self._came)
        for message_id in message_ids:
            about = [receipt for receipt in came if is_exact(receipt.message_id, message_id)] or [
                receipt
                for receipt in came
                if is_number(receipt.message_id, message_id)
                and not any(is_exact(receipt.message_id, other) for other in message_ids)
            ]
            found += [receipt for receipt in about if receipt.state not in _UNDER_WAY][-1:]
        return tuple(found)


def is_exact(one: str, other: str) -> bool:
    """Tell whether two ids are equal but for case and leading zeros, which some servers add. An empty id has none."""
    return bool(one and other) and _bare(one) == _bare(other)


def is_number(one: str, other: str) -> bool:
    """Tell whether one id is the other's number in hexadecimal: some servers mix both forms."""
    if not (one and other):
        return False
    one, other = _bare(one), _bare(other)
    return _is_hex_of(one, other) or _is_hex_of(other, one)


def _bare(message_id: str) -> str:
    return message_id.lower().lstrip("0")


def _is_hex_of(hexadecimal: str, decimal: str) -> bool:
    if max(len(hexadecimal), len(decimal)) > _ID_CHARACTERS:
        return False
    return bool(re.fullmatch("[0-9a-f]+", hexadecimal) and re.fullmatch("[0-9]+", decimal)) and int(
        hexadecimal, 16
    ) == int(decimal)
