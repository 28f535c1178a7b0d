"""One connection to PostgreSQL, with a limit on each wait."""

import time
from collections.abc import Generator
from typing import Any, NoReturn, TypeVar

import orjson
import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.errors import Diagnostic
from psycopg.types.json import set_json_dumps, set_json_loads

from dtqs.json_value import loads

Row = tuple[Any, ...]
T = TypeVar("T")
_YOUNG_SECONDS = 1.0
ADAPTERS = AdaptersMap(psycopg.adapters)
"""Every connection's conversions. Made before the fork: a map for each connection would touch each of 400 classes, and
so copy most pages that hold one (0.8 MiB a process)."""
set_json_loads(loads, ADAPTERS)
set_json_dumps(orjson.dumps, ADAPTERS)


class LimitedConnection(psycopg.Connection[Row]):
    """A connection with a limit on each wait: a frozen server enforces no timeout itself."""

    limit_seconds: float | None = None
    prepared: set[bytes] | None = None
    """The plain statements (plain.py) that it has prepared; None: prepare none."""

    is_unsure = False
    """The wait of its last commit for a synchronous standby was cancelled. PostgreSQL reports a success, and warns."""

    opened_at = 0.0
    is_left = False
    """It was closed although no statement failed, so nobody may keep it at hand."""

    def leave_if(self, read_only: bool) -> None:
        """Close this connection if its server is read-only: the DSN's name may lead to the primary by now.

        A failover seldom ends such a connection, and the pool would keep it for an hour. A young one stays, so a
        server that stays read-only gets few logins.
        """
        if read_only and time.monotonic() - self.opened_at > _YOUNG_SECONDS:
            self.is_left = True
            self.close()

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            limit = timeout if timeout is not None else self.limit_seconds
            value = super().wait(gen, interval=interval, timeout=limit)
            if self.is_unsure:
                self.refuse()
            return value
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # its reply may still come, so no other caller may get this connection
            raise psycopg.OperationalError(f"no reply within {self.limit_seconds:g} s") from error

    def note(self, notice: Diagnostic) -> None:
        """Look at a notice of the server. Its text may be in any language."""
        if notice.source_function == "SyncRepWaitForLSN":
            self.is_unsure = True

    def refuse(self) -> NoReturn:
        """Treat the last reply as lost, so that its caller asks again. Raises OperationalError."""
        self.pgconn.finish()
        raise psycopg.OperationalError("the commit's wait for a synchronous standby was cancelled")
