"""Check the API before it starts, so that a mistake is reported once and not by each of its processes.

The check before a reload does the same: it may bring another secret."""

import socket

from dtqs.api.access.secret import another_secret, api_secret, fingerprint
from dtqs.cli.store import opened_store
from dtqs.config import Config
from dtqs.errors import ConfigError, StoreUnavailable

_SEEN_SECONDS, _SEEN_BEATS = 15.0, 3.0


def check_api(config: Config) -> None:
    """Make or read the API's secret, compare it with other hosts, and check the schema version. Raises ConfigError."""
    secret, host = api_secret(config), None
    try:
        with opened_store(config, "dtqs api") as store:
            if refused := store.database.schema_refusal():
                raise ConfigError([refused])
            if config.api.auth:
                host = store.api_keys.other_secret(fingerprint(secret), socket.gethostname(), _seen_seconds(config))
    except StoreUnavailable:
        return  # the API itself waits for PostgreSQL and the schema; its next start checks again
    if host is not None:
        raise another_secret(config, host)


def _seen_seconds(config: Config) -> float:
    """Return how long an API host counts as running after its processes wrote their totals last."""
    return max(_SEEN_SECONDS, _SEEN_BEATS * config.lease.heartbeat_seconds)
