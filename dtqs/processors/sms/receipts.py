"""DeliverSm receipts of SMPP: telling one from a message, and finding the message that it is about; pure."""

import itertools
import re
from collections import OrderedDict
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
_DECIMAL, _HEXADECIMAL = re.compile("[0-9]+"), re.compile("[0-9a-f]+")
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
    """The receipts of the most recent messages, for tasks that wait for them. The link's own thread adds to them."""

    def __init__(self) -> None:
        # by bare id: the last final receipt and its number in order; None while a message is under way
        self._found: OrderedDict[str, tuple[int, Receipt] | None] = OrderedDict()
        self._numbers = itertools.count()

    def add(self, receipt: Receipt) -> None:
        if not receipt.message_id:
            return
        bare = _bare(receipt.message_id)
        if receipt.state not in _UNDER_WAY:
            self._found[bare] = (next(self._numbers), receipt)
        else:
            self._found.setdefault(bare, None)
        self._found.move_to_end(bare)
        if len(self._found) > _KEPT:
            self._found.popitem(last=False)

    def of(self, message_ids: Sequence[str]) -> tuple[Receipt, ...]:
        """Return the latest final receipt of each message that has one, in the order of the ids.

        Ids are equal also if their case or leading zeros differ, which some servers change. Without a receipt of the
        id itself, one of its other form counts, unless this is the id of another of these messages.
        """
        wanted = [_bare(message_id) if message_id else None for message_id in message_ids]
        own, found = set(wanted), []
        for bare in wanted:
            if bare is None:
                continue
            keys = [bare] if bare in self._found else [form for form in other_forms(bare) if form not in own]
            about = [receipt for key in keys if (receipt := self._found.get(key)) is not None]
            found += [max(about)[1]] if about else []
        return tuple(found)


def other_forms(bare: str) -> list[str]:
    """Return an id's number in hexadecimal and in decimal, as far as the id is one: some servers mix both forms."""
    forms = []
    if len(bare) <= _ID_CHARACTERS and _DECIMAL.fullmatch(bare):
        forms.append(f"{int(bare):x}")
    if len(bare) <= _ID_CHARACTERS and _HEXADECIMAL.fullmatch(bare):
        forms.append(str(int(bare, 16)))
    return forms


def _bare(message_id: str) -> str:
    return message_id.lower().lstrip("0")
