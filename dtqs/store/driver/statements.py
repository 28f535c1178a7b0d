"""The statements of dtqs/store/sql/, each loaded once. `{settle}`, `{named}`, `{record}`, `{fits}`, `{matches}`,
`{ceilings}`, `{wanted}`, `{submitted}`, `{accepted}`, `{completed}`, `{shown}` and `{progress}` stand for parts that
several statements share. `{record_of_light}` is a record without the progress of its task.
"""

import functools
import re
import struct
from collections.abc import Iterable, Sequence
from importlib import resources

from dtqs.uuid7 import made_at

_WRONG_CLOCK_SECONDS = 86_400.0
_LIVED = r"\1 >= least(to_timestamp(%(since)s::float8), now() - interval '1 day') AND \1 < now() + interval '1 day'"
"""Rows of the last day are always included, so a wrong id cannot hide the rows of a running task."""

_TEXT_TYPE = 25
_NO_ARRAY, _ARRAY, _LENGTH = struct.Struct(">iiI"), struct.Struct(">iiIii"), struct.Struct(">i")
"""The head of a binary array: its dimensions, whether it has nulls, and the type; its length and first index."""
_NULL = _LENGTH.pack(-1)


@functools.cache
def statement(name: str) -> bytes:
    """Return the text of one statement, named like its file. `{utc COLUMN}` is the time as RFC 3339 text in UTC.

    With the ending `_free` it skips locked rows of the backlog, where it would wait for them: see `{skip}` in the file.
    `{lived COLUMN}` bounds the time of log rows by the life of their tasks, which begins at the parameter `since`
    (`lived_since`). A plan covers the partitions of all days, and opening the others takes longer than the read.
    """
    waiting = name.removesuffix("_free")
    text = re.sub(
        r"\{(settle|named|record|fits|matches|ceilings|wanted|submitted|accepted|completed|shown)\}",
        lambda match: _read(f"{match[1]}.part.sql").strip(),
        _read(f"{waiting}.sql"),
    )
    text = text.replace("{skip}", "" if name == waiting else " SKIP LOCKED")
    text = text.replace("{record_of_light}", _read("record.part.sql").strip().replace("{progress}", "NULL::json"))
    text = text.replace("{progress}", _read("progress.part.sql").strip())
    text = re.sub(r"\{utc ([a-z_.]+)\}", r"""to_char(\1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""", text)
    text = re.sub(r"\{lived ([a-z_.]+)\}", _LIVED, text)
    return text.strip().encode()


def _read(file_name: str) -> str:
    return (resources.files("dtqs.store") / "sql" / file_name).read_text(encoding="utf-8")


def lived_since(task_ids: Iterable[str]) -> float:
    """Return a Unix time before which these tasks have no log rows.

    It comes from their ids, and holds if the clock of the API is right to a day.
    """
    return min(map(made_at, task_ids), default=0.0) - _WRONG_CLOCK_SECONDS


def array(texts: Sequence[str]) -> str:
    """Return ids or numbers as one array literal: 37 bytes per id, without a Python object each.

    Not for text that needs quoting.
    """
    return "{" + ",".join(texts) + "}"


def text_array(texts: Sequence[str | None]) -> str:
    """Return any texts as one array literal, in a quarter of the driver's time for a list."""
    return (
        "{"
        + ",".join(
            ["NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
        )
        + "}"
    )


def binary_texts(texts: Sequence[str | None]) -> bytes:
    """Return any texts as one array in PostgreSQL's binary form, for plain statements (plain.py).

    It takes a copy and no escapes. To escape four payloads of 4 MB that consist of quotes held the loop for 0.7 s.
    """
    pieces = [_ARRAY.pack(1, 0, _TEXT_TYPE, len(texts), 1) if texts else _NO_ARRAY.pack(0, 0, _TEXT_TYPE)]
    for text in texts:
        if text is None:
            pieces.append(_NULL)
        else:
            value = text.encode()
            pieces += (_LENGTH.pack(len(value)), value)
    return b"".join(pieces)


def sparse(values: Sequence[object]) -> str:
    """Return numbers or times as one array literal. It is empty without any value: unnest adds nulls."""
    if all(value is None for value in values):
        return "{}"
    return "{" + ",".join("NULL" if value is None else f'"{value}"' for value in values) + "}"
