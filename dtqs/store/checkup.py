"""What the doctor asks of PostgreSQL: the server, its clock, the schema's version, the role's settings, and the workers that it knows."""

from dataclasses import dataclass

import psycopg
import psycopg.errors

from dtqs.config import PostgresqlSection
from dtqs.errors import StoreUnavailable
from dtqs.store.driver.database import Database

POSTGRESQL_VERSION = 14
"""The oldest that will do: days of logs are detached beside those who write."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server as a session of ours finds it. `schema_version` is None where there is no schema."""

    version: str
    major_version: int
    clock: float
    settings: dict[str, str]
    schema_version: int | None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker that is not marked dead, and how old its heartbeat is."""

    worker_id: str
    node_name: str
    pool: str
    slot: int
    pid: int
    state: str
    task_id: str | None
    task_type: str | None
    beat_age_seconds: float
    task_types: list[str] | None


class LoginRefused(StoreUnavailable):
    """PostgreSQL does not believe who we are: waiting does not help, another configuration does."""


class NotLetIn(StoreUnavailable):
    """PostgreSQL answers, and has no place for us: it is being restored or set up, or the configuration is wrong. Nobody can tell which."""


_REFUSALS = ("authentication failed", "no password supplied")
_NO_PLACE = ("does not exist", "pg_hba.conf", "not permitted to log in", "permission denied for database")
"""The server's words; before the login it sends no code with them that the driver tells. Other languages are taken for a server that is away."""


def reach(section: PostgresqlSection, name: str) -> None:
    """Connect once, without a retry: a pool would only say that it got no connection, and not why. Raises StoreUnavailable, LoginRefused, NotLetIn."""
    try:
        limit_seconds = max(2, int(section.connect_timeout_seconds))
        psycopg.connect(section.dsn.get_secret_value(), connect_timeout=limit_seconds, application_name=name).close()
    except psycopg.Error as error:
        words = f"PostgreSQL: {' '.join(str(error).split())}"
        kinds = ((LoginRefused, _REFUSALS), (NotLetIn, _NO_PLACE)) if "FATAL:" in words else ()
        raise next((kind for kind, signs in kinds if any(sign in words for sign in signs)), StoreUnavailable)(
            words
        ) from error


def server_facts(database: Database) -> ServerFacts:
    """Raises StoreUnavailable."""
    ((version, major_version, clock, seqscan, jit, fsync, commit, read_only),) = database.run_once("server_facts")
    settings = {"enable_seqscan": seqscan, "jit": jit, "fsync": fsync, "synchronous_commit": commit}
    return ServerFacts(version, major_version, clock, settings, _schema_version(database), read_only)


def _schema_version(database: Database) -> int | None:
    try:
        rows = database.run_once("setting", {"name": "schema_version"})
    except StoreUnavailable as error:
        # told apart by its cause: to everybody else a missing schema is worth waiting for
        if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            return None
        raise
    return int(rows[0][0]) if rows else None


def live_workers(database: Database) -> list[LiveWorker]:
    """Raises StoreUnavailable."""
    return [LiveWorker(*row) for row in database.run_once("live_workers")]
