"""The API key of the sandbox: made at the first start, kept in client.env alone, replaced when the database does not know it."""

import secrets
from pathlib import Path

from dtqs.config import Config
from dtqs.store import Store


def read_client_env(path: Path) -> dict[str, str]:
    """Read the lines NAME=VALUE that the sandbox wrote; nothing where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def working_key(config: Config, client_env: Path) -> str:
    """Return the key of client.env if the database knows it, else a new one. Raises StoreUnavailable."""
    store = Store(config.postgresql, config.lease, size=1, name="dtqs sandbox")
    store.start()
    try:
        kept = read_client_env(client_env).get("DTQS_API_KEY", "")
        if kept and store.api_keys.find(kept):
            return kept
        # names are unique: a lost key cannot be read again, and its name stays taken
        taken = any(key.name == "sandbox" for key in store.api_keys.list())
        return store.api_keys.create(f"sandbox-{secrets.token_hex(3)}" if taken else "sandbox", ("submit", "read", "admin"))[1]
    finally:
        store.stop()
