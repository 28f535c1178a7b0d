"""Statements by name. Plain ones run without the driver's cursor: 80 µs of CPU instead of 115.

Their parameters are text, numbers or binary arrays, their columns text, numbers, booleans or JSON.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from dtqs.json_value import loads
from dtqs.store.driver.connection import LimitedConnection, Row
from dtqs.store.driver.statements import statement

AS_TEXT = frozenset({"read_tasks", "read_small", "read_first", "read_ended", "read_logs"})
"""Statements whose large JSON stays text, as `orjson.Fragment`, which an answer takes as it is. To parse and write 8 MB
held the API's loop for 0.9 s.
"""
PLAIN = AS_TEXT | {"insert_tasks", "insert_tasks_again"}
"""Statements that clients wait for one by one. A worker's statements join them if they are about few tasks."""
_LARGE_BYTES, _LEAST_LARGE_BYTES = 16 << 10, 64
"""JSON from this size on stays text. Many rows share the first size, down to the second one: 1,000 values of 8 KB cost
as much as one of 8 MB.
"""
_BINARY = frozenset({"payloads", "tags"})
"""Parameters in PostgreSQL's binary form (`binary_texts`)."""
_PARAMETER = re.compile(rb"%\((\w+)\)s")
_BOOLEANS, _NUMBERS, _FLOATS, _JSON, _TEXT = (16,), (20, 21, 23), (700, 701), (114, 3802), (25, 1043)
"""PostgreSQL's numbers of the types boolean; bigint, smallint, integer; real, double; json, jsonb; text, varchar."""


class Plain:
    """One statement. Its parameters have the names in its file."""

    def __init__(self, name: str) -> None:
        self._names: list[str] = []
        self._name = f"dtqs_{name}".encode()
        self._is_text = name in AS_TEXT
        self._text = _PARAMETER.sub(self._number, statement(name))
        formats = [Format.BINARY if name in _BINARY else Format.TEXT for name in self._names]
        self._formats = formats if Format.BINARY in formats else None

    def _number(self, match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in self._names:
            self._names.append(name)
        return b"$%d" % (self._names.index(name) + 1)

    def run(self, connection: LimitedConnection, parameters: Mapping[str, object] | None) -> list[Row]:
        """Run it and return its rows. Raises the driver's errors."""
        given = [parameters[name] for name in self._names] if parameters else []
        values = [
            value if value is None or type(value) is bytes else str(value).encode()  # bytes are binary
            for value in given
        ]
        self._send(connection, values)
        # result_of does the same for others; a frame less on the way of each submit
        result: PGresult = connection.wait(generators.execute(connection.pgconn))[-1]
        if result.status != ExecStatus.TUPLES_OK:
            result = self._second(connection, values, result)
        by_type = _loads_of(result.ntuples) if self._is_text else _LOADS
        loads = [by_type[result.ftype(column)] for column in range(result.nfields)]
        value = result.get_value
        return [
            tuple([None if (text := value(row, column)) is None else load(text) for column, load in enumerate(loads)])
            for row in range(result.ntuples)
        ]

    def _send(self, connection: LimitedConnection, values: list[bytes | None]) -> None:
        """Send it. A connection with prepared statements prepares it first, once."""
        pgconn, prepared = connection.pgconn, connection.prepared
        if prepared is None:
            pgconn.send_query_params(self._text, values, param_formats=self._formats)
            return
        if self._name not in prepared:
            pgconn.send_prepare(self._name, self._text)
            result_of(connection)
            prepared.add(self._name)
        pgconn.send_query_prepared(self._name, values, self._formats)

    def _second(self, connection: LimitedConnection, values: list[bytes | None], first: PGresult) -> PGresult:
        """Judge a result without rows, and run the statement anew if nothing but its preparation was lost."""
        try:
            return _checked(connection, first)
        except psycopg.errors.InvalidSqlStatementName:
            # the server, or a pooler in between, has lost all prepared statements
            assert connection.prepared is not None
            connection.prepared.clear()
            self._send(connection, values)
            return result_of(connection)


class Cursored:
    """One statement with the driver's cursor, which any type of parameter and column suits."""

    def __init__(self, name: str) -> None:
        self._text = statement(name)

    def run(self, connection: LimitedConnection, parameters: Mapping[str, Any] | None) -> list[Row]:
        """Run it and return its rows. Raises the driver's errors."""
        cursor = connection.execute(self._text, parameters)
        # `rownumber` tells if there are rows; `description` would describe each column first
        return cursor.fetchall() if cursor.rownumber is not None else []


@functools.cache
def runner(name: str, few: bool = False) -> Plain | Cursored:
    """Return a statement by its name. `few`: its result has few rows, so it needs no cursor."""
    return Plain(name) if few or name in PLAIN else Cursored(name)


def result_of(connection: LimitedConnection) -> PGresult:
    """Wait for the answer and return it. Raises the server's error."""
    return _checked(connection, connection.wait(generators.execute(connection.pgconn))[-1])


def _checked(connection: LimitedConnection, result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(result, connection.info.encoding)
    return result


def parsed(columns: Sequence[Any]) -> list[Any]:
    """Return a row's values without texts."""
    return [loads(orjson.dumps(one)) if isinstance(one, orjson.Fragment) else one for one in columns]


def _loads_of(rows: int) -> dict[int, Callable[[bytes], Any]]:
    """Return the functions that keep large JSON of this many rows as text."""
    most_bytes = max(_LEAST_LARGE_BYTES, _LARGE_BYTES // max(1, rows))
    return _LOADS | dict.fromkeys(_JSON, functools.partial(_loads_if_small, most_bytes))


def _loads_if_small(most_bytes: int, text: bytes) -> Any:
    # an event of a stream is one line: only a person with psql stores JSON in several
    if len(text) < most_bytes or b"\n" in text or b"\r" in text:
        return loads(text)
    return orjson.Fragment(text)


def _is_true(text: bytes) -> bool:
    return text == b"t"


_LOADS: dict[int, Callable[[bytes], Any]] = {
    **dict.fromkeys(_BOOLEANS, _is_true),
    **dict.fromkeys(_NUMBERS, int),
    **dict.fromkeys(_FLOATS, float),
    **dict.fromkeys(_JSON, loads),
    **dict.fromkeys(_TEXT, bytes.decode),
}
