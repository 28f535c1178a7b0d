"""The driver's errors as ours. An error without one of ours is a fault of the code, or undone work to try again."""

import psycopg
import psycopg.errors

from dtqs.errors import StoreRefused, StoreUnavailable

AGAIN = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_TOO_MUCH = "54"
"""The SQLSTATE class of a value that is too large for an index or nested too deep. psycopg raises it as an
OperationalError, but the fault is the value's."""
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_CANCELLED = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
_NO_SCHEMA = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)


class StoreBlocked(StoreUnavailable):
    """PostgreSQL cancelled a statement that waited too long, mostly for a row that another session has locked."""


def ours(error: psycopg.Error) -> StoreUnavailable | StoreRefused | None:
    """Return the error that a caller of the store gets instead, or None."""
    message = error.diag.message_primary
    if isinstance(error, AGAIN):
        return None
    if isinstance(error, _AWAY):
        if (error.sqlstate or "").startswith(_TOO_MUCH):
            return StoreRefused(f"PostgreSQL: {message or error}")
        kind = StoreBlocked if isinstance(error, _CANCELLED) else StoreUnavailable
        return kind(f"PostgreSQL: {str(error).strip() or type(error).__name__}")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        advice = "run dtqs migrate as this role, which must own the database"
        return StoreUnavailable(f"PostgreSQL: {message}: {advice}")
    if isinstance(error, _NO_SCHEMA):
        advice = "the schema is missing or older than this version; run dtqs migrate"
        return StoreUnavailable(f"PostgreSQL: {message}: {advice}")
    return StoreRefused(f"PostgreSQL: {message or error}") if isinstance(error, psycopg.DataError) else None
