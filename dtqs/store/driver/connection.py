"""One connection to PostgreSQL, with a limit on each wait."""

from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

Row = tuple[Any, ...]
T = TypeVar("T")


class LimitedConnection(psycopg.Connection[Row]):
    """A connection with a limit on each wait: a frozen server enforces no timeout itself."""

    limit_seconds: float | None = None
    prepared: set[bytes] | None = None
    """The plain statements (plain.py) that it has prepared; None: prepare none."""

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval=interval, timeout=timeout if timeout is not None else self.limit_seconds)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # its reply may still come, so no other caller may get this connection
            raise psycopg.OperationalError(f"no reply within {self.limit_seconds:g} s") from error
