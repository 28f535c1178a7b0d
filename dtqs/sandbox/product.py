"""The sandbox's use of DTQS itself. Imported after the servers' start: the import takes as long as that start."""

import secrets
import shlex
from collections.abc import Mapping
from contextlib import suppress

import setproctitle

from dtqs.broker.checkup import look_once
from dtqs.client_env import read_client_env
from dtqs.config import Config, RabbitmqSection, load
from dtqs.errors import BrokerUnavailable, ConfigError
from dtqs.sandbox.child import write_private
from dtqs.sandbox.places import SandboxPaths
from dtqs.store import Store
from dtqs.store.driver.schema import migrate


def entitle() -> None:
    """Set the process title for ps."""
    setproctitle.setproctitle("dtqs: sandbox")


def migrated(places: SandboxPaths, environment: Mapping[str, str]) -> Config:
    """Read the configuration and migrate the database to this version. Raises ConfigError, StoreUnavailable."""
    config = load(places.ini, environment)
    migrate(config.postgresql)
    return config


def write_client_env(places: SandboxPaths, config: Config) -> None:
    """Write the URL of the API and a valid key for other commands. Raises StoreUnavailable."""
    kept = ""
    with suppress(ConfigError):  # a damaged file is written anew
        kept = read_client_env(places.client_env).get("DTQS_API_KEY", "")
    key = _working_key(config, kept)
    write_private(places.client_env, f"DTQS_URL=http://127.0.0.1:{config.api.port}\nDTQS_API_KEY={shlex.quote(key)}\n")


def has_consumers(section: RabbitmqSection) -> bool:
    """Return whether a worker consumes: workers report ready without RabbitMQ and connect later."""
    with suppress(BrokerUnavailable):
        look = look_once(section, "dtqs sandbox")
        return look is not None and look.consumers > 0
    return False


def _working_key(config: Config, kept: str) -> str:
    """Return the old key if the database has it, or else a new one. Raises StoreUnavailable."""
    store = Store(config.postgresql, config.lease, size=1, name="dtqs sandbox")
    store.start()
    try:
        if kept and store.api_keys.find(kept):
            return kept
        # Names are unique, and the name of a lost key stays taken.
        taken = any(key.name == "sandbox" for key in store.api_keys.list())
        return store.api_keys.create(
            f"sandbox-{secrets.token_hex(3)}" if taken else "sandbox", ("submit", "read", "admin")
        )[1]
    finally:
        store.stop()
