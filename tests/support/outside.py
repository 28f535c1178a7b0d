"""Servers that DTQS_TEST_… variables name, for fixtures that would start private ones (docs/servers.md)."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import quote, urlsplit

import httpx
import pytest

_PREFIX = "DTQS_TEST_"


@dataclass(frozen=True, slots=True)
class OutsideServers:
    """The values of the variables; empty: the fixtures start a server of their own."""

    postgresql_dsn: str = ""
    pgbouncer: str = ""
    prepared_statements: str = ""
    rabbitmq_url: str = ""
    rabbitmq_api: str = ""
    queue_type: str = ""
    cell: str = ""
    """The cell of bin/test-matrix."""
    control: str = ""
    """Its socket, through which a test may kill the servers."""

    @property
    def are_given(self) -> bool:
        """Whether a test may not kill, freeze or set up the servers, since others made them."""
        return bool(self.postgresql_dsn or self.rabbitmq_url)

    def settings(self, dsn: str) -> dict[str, dict[str, str]]:
        """Return what the product's configuration says about the servers, for a database on the first of them."""
        postgresql = {"dsn": self._pooled(dsn), "prepared_statements": self.prepared_statements}
        return {
            "postgresql": {key: value for key, value in postgresql.items() if value},
            "rabbitmq": {"queue_type": self.queue_type} if self.queue_type else {},
        }

    def _pooled(self, dsn: str) -> str:
        """Return the DSN of the same database through PgBouncer. A database of another server stays as it is."""
        place = urlsplit(dsn).netloc
        if not self.pgbouncer or place != urlsplit(self.postgresql_dsn).netloc:
            return dsn
        return dsn.replace(place, f"{place.rpartition('@')[0]}@{self.pgbouncer}", 1)


_NAMES = [field.name for field in fields(OutsideServers)]


def read_variables(environment: Mapping[str, str] = os.environ) -> OutsideServers:
    """Read the variables. Raises pytest.UsageError for a combination that cannot work."""
    found = OutsideServers(**{name: environment.get(_PREFIX + name.upper(), "") for name in _NAMES})
    if bool(found.rabbitmq_url) != bool(found.rabbitmq_api):
        raise pytest.UsageError(
            "DTQS_TEST_RABBITMQ_URL and DTQS_TEST_RABBITMQ_API belong together: each test makes a virtual host "
            "through the API of the management plugin, such as http://user:password@127.0.0.1:15672"
        )
    if found.pgbouncer and not found.postgresql_dsn:
        raise pytest.UsageError("DTQS_TEST_PGBOUNCER needs DTQS_TEST_POSTGRESQL_DSN, the server behind PgBouncer")
    return found


OUTSIDE = read_variables()


def remove_variables() -> None:
    """Remove the variables from the environment: DTQS refuses variables with its prefix that it does not know."""
    for name in _NAMES:
        os.environ.pop(_PREFIX + name.upper(), None)


class OutsideVhosts:
    """Makes and deletes virtual hosts of a broker through its management plugin."""

    def __init__(self, servers: OutsideServers) -> None:
        self._url = servers.rabbitmq_url
        place = urlsplit(servers.rabbitmq_api)
        self._client = httpx.Client(
            base_url=f"{place.scheme}://{place.hostname}:{place.port}/api",
            auth=(place.username or "", place.password or ""),
            timeout=30,
        )

    def make(self) -> str:
        """Return the URL of a new virtual host."""
        name, user = f"test_{secrets.token_hex(6)}", urlsplit(self._url).username or ""
        self._client.put(f"/vhosts/{name}", json={}).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._client.put(f"/permissions/{name}/{quote(user, safe='')}", json=everything).raise_for_status()
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def delete(self, url: str) -> None:
        self._client.delete(f"/vhosts/{url.rpartition('/')[2]}").raise_for_status()

    def close(self) -> None:
        self._client.close()
