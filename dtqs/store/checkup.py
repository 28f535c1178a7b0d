"""The doctor's questions to PostgreSQL: server, clock, version of the schema, settings of the role, live workers."""

from dataclasses import dataclass

import psycopg
import psycopg.errors

from dtqs import unkept
from dtqs.config import PostgresqlSection
from dtqs.errors import StoreUnavailable
from dtqs.given_up import GivenUpSlots, from_values
from dtqs.store.driver.database import Database
from dtqs.store.driver.dsn import dsn_of

POSTGRESQL_VERSION = 14
"""The oldest major version that works: version 14 can detach a day of logs while others write."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server as one of our sessions sees it. `schema_version` is `None` if there is no schema."""

    version: str
    major_version: int
    clock: float
    settings: dict[str, str]
    schema_version: int | None
    schema_compatible: int | None = None
    """The version of the schema that a DTQS must know to work on it. `None`: any."""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker that is not marked dead, and the age of its heartbeat."""

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
    """PostgreSQL refuses the login. Waiting does not help; another user or password does."""


class NotLetIn(StoreUnavailable):
    """PostgreSQL answers and refuses the connection. It is being restored or set up, or the configuration is wrong."""


_REFUSALS = ("authentication failed", "no password supplied")
_NOT_LET_IN = ("does not exist", "pg_hba.conf", "not permitted to log in", "permission denied for database")
"""Parts of the server's messages: before the login the driver gives no code. In other languages they do not match, and
the error counts as an unreachable server."""


def reach(section: PostgresqlSection, name: str) -> None:
    """Connect once, without a retry, since a pool would not say why it got no connection.

    Raises ConfigError, StoreUnavailable, LoginRefused, NotLetIn.
    """
    try:
        limit_seconds = max(2, int(section.connect_timeout_seconds))
        psycopg.connect(dsn_of(section), connect_timeout=limit_seconds, application_name=name).close()
    except psycopg.Error as error:
        message = f"PostgreSQL: {' '.join(str(error).split())}"
        kinds = ((LoginRefused, _REFUSALS), (NotLetIn, _NOT_LET_IN)) if "FATAL:" in message else ()
        kind = next((kind for kind, signs in kinds if any(sign in message for sign in signs)), StoreUnavailable)
        raise kind(message) from error


def server_facts(database: Database) -> ServerFacts:
    """Return the facts that the doctor checks. Raises StoreUnavailable."""
    ((version, major_version, clock, seqscan, jit, fsync, commit, read_only),) = database.run_once("server_facts")
    settings = {"enable_seqscan": seqscan, "jit": jit, "fsync": fsync, "synchronous_commit": commit}
    return ServerFacts(version, major_version, clock, settings, *_schema_state(database), read_only)


def _schema_state(database: Database) -> tuple[int | None, int | None]:
    try:
        ((version, compatible, _),) = database.run_once("schema_state")
    except StoreUnavailable as error:
        # only the cause shows it: other callers wait for a missing schema as for a server that is away
        if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            return None, None
        raise
    return version, compatible


def given_up(database: Database, age_seconds: float) -> list[tuple[str, GivenUpSlots]]:
    """Return the slots that are given up, each with its node, as keepers told lately. Raises StoreUnavailable."""
    rows = database.run_once("reading_processes", {"age": age_seconds})
    return [(row[2], slots) for row in rows for slots in from_values(row[4] or {})]


def unkept_queues(database: Database, age_seconds: float) -> list[str]:
    """Return the queues whose hints RabbitMQ does not keep, as keepers told lately. Raises StoreUnavailable."""
    rows = database.run_once("reading_processes", {"age": age_seconds})
    return sorted({queue for row in rows for queue in unkept.from_values(row[4] or {})})


def live_workers(database: Database) -> list[LiveWorker]:
    """Return the workers that are not marked dead. Raises StoreUnavailable."""
    return [LiveWorker(*row) for row in database.run_once("live_workers")]
