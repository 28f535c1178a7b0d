"""Consecutive ids for the tasks of one submit: the first id and the count name all of them; pure."""

from dtqs.uuid7 import uuid7

_ROOM = 1 << 61
"""This bit is clear in the first id of several: so counting up never changes the variant bits of the UUID."""


def new_ids(count: int) -> list[str]:
    """Return new ids; each is the one before plus one."""
    if count == 1:
        return [uuid7()]
    first = _number(uuid7()) & ~_ROOM
    return [_text(first + index) for index in range(count)]


def next_id(task_id: str) -> str:
    """Return the id that follows."""
    return _text(_number(task_id) + 1)


def is_among(task_id: str, first_id: bytes, count: int) -> bool:
    """Tell whether an id is one of `count` consecutive ids from the first."""
    return 0 <= _number(task_id) - int.from_bytes(first_id, "big") < count


def id_bytes(text: str) -> bytes:
    """Return the 16 bytes of an id."""
    return bytes.fromhex(text.replace("-", ""))


def id_text(value: bytes) -> str:
    """Return the id of 16 bytes."""
    return _text(int.from_bytes(value, "big"))


def _number(task_id: str) -> int:
    return int(task_id.replace("-", ""), 16)


def _text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
