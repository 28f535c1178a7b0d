"""Loads before the fork the parts of a first query that need no server. Each process would load its own copy."""

from contextlib import suppress
from importlib import resources

import psycopg
from psycopg import pq

from dtqs.store.driver.plain import runner

_NOWHERE = b"host=/dev/null hostaddr='' service=''"
"""No file can lie below this path, so libpq fails without opening a socket that stays."""


def preload() -> None:
    """Read all statements, and let libpq initialise its OpenSSL: a first login took 3.7 MiB, and takes 1.1 now."""
    for file in (resources.files("dtqs.store") / "sql").iterdir():
        name, _, kind = file.name.partition(".")
        if kind == "sql":
            runner(name)
    connection = pq.PGconn.connect_start(_NOWHERE)
    with suppress(psycopg.Error):  # without OpenSSL there is nothing to share
        connection.encrypt_password(b"any", b"any", b"scram-sha-256")
    connection.finish()
