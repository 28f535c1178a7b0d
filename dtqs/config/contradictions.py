"""Problems of the configuration that only several keys together show; pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from dtqs.config.routing import Entries


def contradictions(values: Mapping[str, Any], raw: Entries) -> Iterator[str]:
    """Yield a sentence for each pair of values that do not go together."""
    api, lease, rabbitmq = values["api"], values["lease"], values["rabbitmq"]
    if not api.auth and api.host not in ("127.0.0.1", "::1", "localhost"):
        yield (
            f"{place_of_key(raw, 'api', 'auth')}: off is allowed only on loopback, but host is {api.host}; "
            "allowed: on, or host = 127.0.0.1"
        )
    short = place_of_key(raw, "lease", "lease_seconds") + f": {lease.lease_seconds:g} is"
    if lease.lease_seconds < rabbitmq.heartbeat_seconds:
        yield (f"{short} below [rabbitmq] heartbeat_seconds = {rabbitmq.heartbeat_seconds}; allowed: that or more")
    if lease.lease_seconds < (least := 2 * lease.heartbeat_seconds):
        yield (f"{short} less than two heartbeats of {lease.heartbeat_seconds:g} s; allowed: {least:g} or more")
    if lease.grace_seconds > lease.far_out_seconds:
        # later rows count as far out, so nothing would start a pool for a task whose hint was lost
        yield (
            f"{place_of_key(raw, 'lease', 'grace_seconds')}: {lease.grace_seconds:g} is above far_out_seconds = "
            f"{lease.far_out_seconds:g}; allowed: that or less"
        )


def place_of_key(raw: Entries, section: str, key: str) -> str:
    """Return the place of a value and its name: `conf/dtqs.ini line 12: [postgresql] dsn`."""
    entries = raw.get(section, {})
    entry = entries.get(key) or entries.get(f"{key}_file")
    return f"{entry.where if entry else 'default'}: [{section}] {key}"
