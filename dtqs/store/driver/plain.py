"""Statements said without the driver's cursor, at 80 µs of CPU where a cursor takes 115.

Their parameters are text or numbers, their columns text, numbers, truth values or JSON.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from dtqs.json_value import loads
from dtqs.store.driver.statements import statement

PLAIN = frozenset({"insert_tasks", "read_tasks", "read_ended"})
"""Those that clients wait for one by one; a worker's are said so when they are of few tasks."""
_TRUTH, _NUMBERS, _FLOATS, _JSON, _TEXT = (16,), (20, 21, 23), (700, 701), (114, 3802), (25, 1043)
"""Types of columns, as PostgreSQL numbers them: boolean; bigint, smallint and integer; real and double; json and jsonb; text and varchar."""


class Plain:
    """One statement; its parameters are those of its file, by name."""

    def __init__(self, name: str) -> None:
        self._names: list[str] = []
        self._name = f"dtqs_{name}".encode()
        self._text = re.sub(rb"%\((\w+)\)s", self._number, statement(name))

    def _number(self, match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in self._names:
            self._names.append(name)
        return b"$%d" % (self._names.index(name) + 1)

    def run(
        self,
        connection: "psycopg.Connection[tuple[object, ...]]",
        said: set[bytes] | None,
        parameters: Mapping[str, object],
    ) -> list[tuple[Any, ...]]:
        """Run it. `said` is what this connection has prepared already; None: it is not to prepare. Raises the driver's errors."""
        given = [parameters[name] for name in self._names]
        values = [None if value is None else str(value).encode() for value in given]
        try:
            result = self._say(connection, said, values)
        except psycopg.errors.InvalidSqlStatementName:
            # the driver, or a pooler between, has forgotten all that was prepared
            assert said is not None
            said.clear()
            result = self._say(connection, said, values)
        loads = [_LOADS[result.ftype(column)] for column in range(result.nfields)]
        value = result.get_value
        return [
            tuple([None if (text := value(row, column)) is None else load(text) for column, load in enumerate(loads)])
            for row in range(result.ntuples)
        ]

    def _say(
        self, connection: "psycopg.Connection[tuple[object, ...]]", said: set[bytes] | None, values: list[bytes | None]
    ) -> PGresult:
        pgconn = connection.pgconn
        if said is None:
            pgconn.send_query_params(self._text, values)
            return _result(connection)
        if self._name not in said:
            pgconn.send_prepare(self._name, self._text)
            _result(connection)
            said.add(self._name)
        pgconn.send_query_prepared(self._name, values)
        return _result(connection)


@functools.cache
def plain(name: str) -> Plain:
    return Plain(name)


def _result(connection: "psycopg.Connection[tuple[object, ...]]") -> PGresult:
    """Wait for the answer. Raises what it says went wrong."""
    result: PGresult = connection.wait(generators.execute(connection.pgconn))[-1]
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(result, connection.info.encoding)
    return result


def _is_true(text: bytes) -> bool:
    return text == b"t"


_LOADS: dict[int, Callable[[bytes], Any]] = {
    **dict.fromkeys(_TRUTH, _is_true),
    **dict.fromkeys(_NUMBERS, int),
    **dict.fromkeys(_FLOATS, float),
    **dict.fromkeys(_JSON, loads),
    **dict.fromkeys(_TEXT, bytes.decode),
}
