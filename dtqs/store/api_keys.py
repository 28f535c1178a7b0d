"""API keys: made, listed, revoked, found by their hash; only the hash is stored. Also the settings that all API processes share."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from dtqs.errors import Conflict, NotFound
from dtqs.store.database import Database
from dtqs.uuid7 import uuid7

SCOPES = ("submit", "read", "admin")
REMEMBERED_SECONDS = 5.0
"""For so long an API process remembers what it was told of a key, so a revoked one may still be good."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is known, never its secret. `admin` sees everybody's tasks, and may do what submit and read may."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str | None = None
    revoked_at: str | None = None


class ApiKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Sequence[str]) -> tuple[str, str]:
        """Make a key; returns its id and its secret text, which is shown once. Raises Conflict (the name is taken), StoreUnavailable."""
        key_id, secret = uuid7(), f"dtqs_{secrets.token_urlsafe(32)}"
        parameters = {"id": key_id, "name": name, "hash": key_hash(secret), "scopes": list(scopes)}
        if not self._database.run_once("create_key", parameters):
            raise Conflict(f"there is a key named {name} already; revoke it first, or take another name")
        return key_id, secret

    def list(self) -> list[ApiKey]:
        """Raises StoreUnavailable."""
        return [ApiKey(key_id, name, tuple(scopes), created, revoked) for key_id, name, scopes, created, revoked in self._database.run("list_keys")]

    def revoke(self, name: str) -> str:
        """Revoke by name or id; returns the id. Raises NotFound, StoreUnavailable."""
        rows = self._database.run_once("revoke_key", {"name": name})
        if not rows:
            raise NotFound("key", name)
        return str(rows[0][0])

    def find(self, secret: str) -> ApiKey | None:
        """Raises StoreUnavailable."""
        rows = self._database.run("find_key", {"hash": key_hash(secret)})
        return ApiKey(rows[0][0], rows[0][1], tuple(rows[0][2])) if rows else None

    def find_by_id(self, key_id: str) -> ApiKey | None:
        """Raises StoreUnavailable."""
        rows = self._database.run("find_key_by_id", {"id": key_id})
        return ApiKey(rows[0][0], rows[0][1], tuple(rows[0][2])) if rows else None

    def signing_key(self) -> bytes:
        """Return the key that signs tickets: made by the first who asks, the same for all. Raises StoreUnavailable."""
        self._database.run("set_default", {"name": "signing_key", "value": orjson.dumps(secrets.token_hex(32)).decode()})
        ((value,),) = self._database.run("setting", {"name": "signing_key"})
        return bytes.fromhex(value)


def key_hash(secret: str) -> bytes:
    """One round is enough for 256 random bits; there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()
