"""Last-Event-ID: where a stream is in the log of each of its tasks, as opaque text; pure.

For each task six bytes of its id and a varint: the last log id that was seen, and whether its final event was. A list of tasks that has changed
between two connections loses nothing: what is not in the text begins anew.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping

ENDED = -1
"""The position of a task whose final event was sent."""
AT_THE_END = (1 << 63) - 1
"""The position of a task of which only the final event is to come: behind any log id."""
_NUMBERS = {ENDED: 1, AT_THE_END: 3}
"""How these two are written; log ids are even."""
_POSITIONS = {number: position for position, number in _NUMBERS.items()}
_VERSION = b"\x01"
_TAG_BYTES = 6
_VARINT_BYTES = 10
TEXT_LIMIT = 4000
"""A hundred tasks with the longest of positions are 2,200 characters."""


def encode(positions: Mapping[str, int]) -> str:
    value = bytearray(_VERSION)
    for task_id, position in positions.items():
        value += _tag(task_id)
        number = _NUMBERS.get(position, position << 1)
        while number > 127:
            value.append(number & 127 | 128)
            number >>= 7
        value.append(number)
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str, task_ids: Iterable[str]) -> dict[str, int]:
    """Return the positions of those of the tasks that the text knows; none for what is no text of ours."""
    try:
        value = base64.b64decode(
            text[:TEXT_LIMIT].encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        return {}
    if len(text) > TEXT_LIMIT or not value.startswith(_VERSION):
        return {}
    by_tag = _positions(value[len(_VERSION) :])
    return {task_id: by_tag[tag] for task_id in task_ids if (tag := _tag(task_id)) in by_tag}


def _positions(value: bytes) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    at = 0
    while at < len(value):
        tag, at, number, shift = value[at : at + _TAG_BYTES], at + _TAG_BYTES, 0, 0
        while True:
            if at >= len(value) or shift >= 7 * _VARINT_BYTES:
                return {}  # cut off, or made up
            byte, at = value[at], at + 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if number >> 1 >= 1 << 63:
            return {}
        found[tag] = _POSITIONS.get(number, number >> 1)
    return found


def _tag(task_id: str) -> bytes:
    """The last six bytes are random, and differ too between the ids of one array."""
    return bytes.fromhex(task_id[-12:])
