"""API keys: create, list, change, revoke, and find by their hash. Only the hash is stored. Also ended sessions."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from dtqs.config import number
from dtqs.errors import Conflict, NotFound
from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database
from dtqs.uuid7 import uuid7

SCOPES = ("submit", "read", "metrics", "admin")
REMEMBERED_SECONDS = 5.0
"""How long an API process caches a key. A revoked key may work for so long."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings that the operator sets for one key. None: no ceiling for this key."""

    max_priority: int | None = None
    max_pending: int | None = None
    max_upload_bytes: int | None = None
    max_timeout_seconds: float | None = None
    task_types: tuple[str, ...] | None = None

    def texts(self) -> dict[str, str]:
        """Return the ceilings that are set, by name, as the command line writes them."""
        values = {name: getattr(self, name) for name in CEILINGS}
        return {
            name: ",".join(value) if name == "task_types" else number(value)
            for name, value in values.items()
            if value is not None
        }


CEILINGS = tuple(field.name for field in fields(Ceilings))
NO_CEILINGS = Ceilings()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. The scope `admin` includes submit and read, and covers the tasks of all keys."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    ceilings: Ceilings = NO_CEILINGS
    created_at: str | None = None
    revoked_at: str | None = None


class ApiKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Sequence[str], ceilings: Ceilings = NO_CEILINGS) -> tuple[str, str]:
        """Create a key. Returns its id and its secret text, which is shown once.

        Raises Conflict (the name is taken), StoreUnavailable.
        """
        key_id, secret = uuid7(), f"dtqs_{secrets.token_urlsafe(32)}"
        parameters = {
            "id": key_id,
            "name": name,
            "hash": key_hash(secret),
            "scopes": list(scopes),
            **_columns(ceilings),
        }
        if not self._database.run_once("create_key", parameters):
            raise Conflict(f"a key named {name} exists already; revoke it first, or choose another name")
        return key_id, secret

    def list(self) -> list[ApiKey]:
        """Return all keys. Raises StoreUnavailable."""
        return [_key(row) for row in self._database.run("list_keys")]

    def change(self, name: str, named: Sequence[str], ceilings: Ceilings) -> ApiKey:
        """Set the named ceilings of a key, given by its name or id. Raises NotFound, StoreUnavailable.

        Tasks submitted while the key had no `max_pending` are not counted.
        """
        rows = self._database.run_once("change_key", {"name": name, "named": list(named), **_columns(ceilings)})
        if not rows:
            raise NotFound("key", name)
        return _key(rows[0])

    def revoke(self, name: str) -> str:
        """Revoke a key by its name or id. Returns the id. Raises NotFound, StoreUnavailable."""
        rows = self._database.run_once("revoke_key", {"name": name})
        if not rows:
            raise NotFound("key", name)
        return str(rows[0][0])

    def find(self, secret: str) -> ApiKey | None:
        """Return the key with this secret, unless it was revoked. Raises StoreUnavailable."""
        rows = self._database.run("find_key", {"hash": key_hash(secret)})
        return _key(rows[0]) if rows else None

    def find_of_session(self, key_id: str, session_id: str) -> ApiKey | None:
        """Return the key of a session, unless the key was revoked or the session ended. Raises StoreUnavailable."""
        rows = self._database.run("find_key_of_session", {"id": key_id, "session_id": session_id})
        return _key(rows[0]) if rows else None

    def find_of_ticket(self, key_id: str) -> ApiKey | None:
        """Return the key that a ticket names, unless it was revoked. Raises StoreUnavailable."""
        rows = self._database.run("find_key_of_ticket", {"id": key_id})
        return _key(rows[0]) if rows else None

    def end_session(self, session_id: str, expires_at: int) -> None:
        """Refuse the session from now on. Raises StoreUnavailable."""
        self._database.run("end_session", {"session_id": session_id, "expires_at": expires_at})

    def other_secret(self, fingerprint: str, host: str, seen_seconds: float) -> str | None:
        """Record which secret signs on this host, unless another host runs the API with another one.

        A host runs the API if its processes were seen within `seen_seconds`. Returns the name of the host that recorded
        the other secret, or None. Raises StoreUnavailable.
        """
        values = {"fingerprint": fingerprint, "host": host, "seen_seconds": seen_seconds}
        if self._database.run_once("agree_on_secret", values):
            return None
        ((value,),) = self._database.run_once("setting", {"name": "api_secret"})
        return str(value["host"])


def _columns(ceilings: Ceilings) -> dict[str, object]:
    return asdict(ceilings) | {"task_types": None if ceilings.task_types is None else list(ceilings.task_types)}


def _key(row: Row) -> ApiKey:
    """Build a key from a row: `id, name, scopes, {ceilings}` and, in lists, its times."""
    key_id, name, scopes, priority, pending, upload_bytes, timeout_seconds, task_types, *times = row
    ceilings = Ceilings(
        priority, pending, upload_bytes, timeout_seconds, None if task_types is None else tuple(task_types)
    )
    return ApiKey(key_id, name, tuple(scopes), NO_CEILINGS if ceilings == NO_CEILINGS else ceilings, *times)


def key_hash(secret: str) -> bytes:
    """Return the hash under which a key is stored. One round is enough: a key has 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()
