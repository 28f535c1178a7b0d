"""The statements of dtqs/store/sql/, each loaded once; `{settle}`, `{named}`, `{record}`, `{fits}` and `{ceilings}` stand for the parts that several share."""

import functools
import re
from collections.abc import Iterable, Sequence
from importlib import resources

from dtqs.uuid7 import made_at

_WRONG_CLOCK_SECONDS = 86_400.0
_LIVED = r"\1 >= least(to_timestamp(%(since)s::float8), now() - interval '1 day') AND \1 < now() + interval '1 day'"
"""Whatever an id says, a running task's rows are seen: those of the last day."""


@functools.cache
def statement(name: str) -> bytes:
    """Return the text of one statement, named as its file. `{utc COLUMN}` is that time as RFC 3339 text in UTC.

    `{lived COLUMN}` bounds the time of log rows by the life of their tasks, whose beginning is the parameter `since` (`lived_since`): a plan has all days'
    partitions, and to open those that cannot matter takes longer than the rest of a read.
    """
    text = re.sub(
        r"\{(settle|named|record|fits|ceilings)\}",
        lambda match: _read(f"{match[1]}.part.sql").strip(),
        _read(f"{name}.sql"),
    )
    text = re.sub(r"\{utc ([a-z_.]+)\}", r"""to_char(\1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""", text)
    text = re.sub(r"\{lived ([a-z_.]+)\}", _LIVED, text)
    return text.strip().encode()


def _read(file_name: str) -> str:
    return (resources.files("dtqs.store") / "sql" / file_name).read_text(encoding="utf-8")


def lived_since(task_ids: Iterable[str]) -> float:
    """Return a time before which none of these tasks has a log row, in seconds since 1970: their ids tell, where the API's clock is right to a day."""
    return min(map(made_at, task_ids), default=0.0) - _WRONG_CLOCK_SECONDS


def array(texts: Sequence[str]) -> str:
    """Return ids or numbers as one array literal: 37 bytes an id, and no Python object each. Not for text that needs quoting."""
    return "{" + ",".join(texts) + "}"


def text_array(texts: Sequence[str | None]) -> str:
    """Return any texts as one array literal: a quarter of what the driver takes for a list of them."""
    return (
        "{"
        + ",".join(
            ["NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
        )
        + "}"
    )


def sparse(values: Sequence[object]) -> str:
    """Return numbers or times as one array literal; an empty one, which unnest fills up with nulls, where there is none among them."""
    if all(value is None for value in values):
        return "{}"
    return "{" + ",".join("NULL" if value is None else f'"{value}"' for value in values) + "}"
