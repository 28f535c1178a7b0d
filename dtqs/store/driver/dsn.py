"""The connection string of PostgreSQL, read by libpq before its first use.

libpq's own message quotes a part of the string, which may be the password. So no message here shows a part.
"""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dtqs.config import PostgresqlSection
from dtqs.errors import ConfigError
from dtqs.host_name import HOST_FAULT, is_host_name

_SCHEMES = ("postgresql://", "postgres://")
_FORM = "postgresql://user:password@host:5432/database"
_ESCAPE = "escape % / ? # @ : in user and password: %25 %2F %3F %23 %40 %3A"


def dsn_of(section: PostgresqlSection) -> str:
    """Return the connection string. Raises ConfigError if no connection can be made with it."""
    dsn = section.dsn.get_secret_value()
    if problem := dsn_problem(dsn):
        raise ConfigError([f"[postgresql] dsn: {problem}"])
    return dsn


def dsn_problem(dsn: str) -> str | None:
    """Return why no connection can be made with a connection string, or None."""
    is_url = dsn.startswith(_SCHEMES)
    if is_url and "@" in _place(dsn.partition("://")[2]):
        return f"host or database holds an @, so user or password is cut at the wrong place; {_ESCAPE}"
    try:
        options = conninfo_to_dict(dsn)
    except (psycopg.Error, UnicodeError):
        if is_url:
            return f"libpq cannot read this URL; allowed: {_FORM}; {_ESCAPE}; options follow as ?name=value"
        allowed = f"{_FORM}, or key=value with keys of libpq; no quotes around it"
        return f"libpq reads it neither as a URL nor as options; allowed: {allowed}"
    hosts, ports = str(options.get("host", "")).split(","), str(options.get("port", "")).split(",")
    if not all(host.startswith(("/", "@")) or is_host_name(host) for host in hosts if host):  # a path names a socket
        return f"{HOST_FAULT}; allowed: names such as db.example.org"
    if not all(not port or _is_port(port) for port in ports):
        return "a port is not a number from 1 to 65535; in a URL it stands between the host's : and the next /"
    if len(ports) not in (1, len(hosts)):
        return f"it has {len(hosts)} hosts and {len(ports)} ports; allowed: one port, or one for each host"
    return None


def _place(url: str) -> str:
    """Return the hosts and the database of a URL without its scheme. libpq ends the user at the first @, before a /."""
    before, at, after = url.partition("@")
    return (after if at and "/" not in before else url).partition("?")[0]


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
