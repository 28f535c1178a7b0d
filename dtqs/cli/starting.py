"""Checks of a service before it starts: a mistake is told here, once and in one line, and not by each of its processes."""

import socket

from dtqs.api.access.secret import another_secret, api_secret, fingerprint
from dtqs.cli.store import opened_store
from dtqs.config import Config
from dtqs.errors import ConfigError, StoreUnavailable


def check_api(config: Config) -> None:
    """Have the API's secret ready, the same as on other hosts, and see that the schema is one for this code. Raises ConfigError."""
    key, host = api_secret(config), None
    try:
        with opened_store(config, "dtqs api") as store:
            if refused := store.database.schema_refusal():
                raise ConfigError([refused])
            if config.api.auth:
                host = store.api_keys.other_secret(fingerprint(key), socket.gethostname())
    except StoreUnavailable:
        return  # the API waits for PostgreSQL and for the schema, and its next start looks again
    if host is not None:
        raise another_secret(config, host)
