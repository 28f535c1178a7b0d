"""Ids of the tasks of one submit: they follow one another, so that a ticket or a page names all of them by the first and their number; pure."""

from dtqs.uuid7 import uuid7

_ROOM = 1 << 61
"""Kept clear in an array's first id: counting on from it never runs into the bits that say which kind of UUID it is."""


def new_ids(count: int) -> list[str]:
    """Return new ids, each the one before plus one."""
    if count == 1:
        return [uuid7()]
    first = _number(uuid7()) & ~_ROOM
    return [_text(first + index) for index in range(count)]


def next_id(task_id: str) -> str:
    """Return the id that follows."""
    return _text(_number(task_id) + 1)


def is_among(task_id: str, first_id: bytes, count: int) -> bool:
    """Tell whether an id is one of `count` that follow one another from the first."""
    return 0 <= _number(task_id) - int.from_bytes(first_id, "big") < count


def _number(task_id: str) -> int:
    return int(task_id.replace("-", ""), 16)


def _text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
