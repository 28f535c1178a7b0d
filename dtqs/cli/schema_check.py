"""Asks the database, within a time limit, whether this code may work on its schema: for checks before a reload."""

import threading

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError, StoreUnavailable
from dtqs.store.driver.schema import unfit

_SECONDS = 10.0
"""Time limit. A server may take the connection and answer nothing."""


def schema_doubt(section: PostgresqlSection, seconds: float = _SECONDS) -> str | None:
    """Return why the schema could not be looked at, or None. Raises ConfigError if this code must not work on it."""
    found: list[str | Exception | None] = []

    def look() -> None:
        try:
            found.append(unfit(section))
        except Exception as error:  # the caller raises it
            found.append(error)

    # a daemon: the end of this process does not wait for a server that answers nothing
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    result = found[0] if found else StoreUnavailable(f"PostgreSQL did not answer within {seconds:g} s")
    if isinstance(result, StoreUnavailable):
        return f"the version of the database's schema was not checked: {' '.join(str(result).split())}"
    if isinstance(result, Exception):
        raise result
    if result is not None:
        raise ConfigError([result])
    return None
