"""The URL of RabbitMQ: one host or several, and with amqps:// the files of TLS. No message here shows a password.

amqps://user:password@one:5671,two:5671/%2F?cacertfile=/etc/dtqs/ca.pem
"""

import re
import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit

from dtqs.host_name import HOST_FAULT, is_host_name

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_FILES = ("cacertfile", "certfile", "keyfile")
_QUERY = (*_FILES, "channel_max", "client_properties", "frame_max", "locale", "ssl_options", "tcp_options")


def host_urls(url: str) -> tuple[str, ...]:
    """Return one URL for each host, without the files of TLS. Raises ValueError, which names the wrong part."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("the brackets of an IPv6 address do not match") from None
    if parts.scheme not in ("amqp", "amqps"):
        raise ValueError("it must begin with amqp:// or amqps://")
    user, at, hosts = parts.netloc.rpartition("@")
    if "@" in parts.path + parts.query + parts.fragment or "@" in user:
        raise ValueError("characters such as / ? # @ in user and password must be escaped: %2F %3F %23 %40")
    if at and not all(user.partition(":")[::2]):
        raise ValueError("user and password need each other: user:password@host")
    for number, host in enumerate(hosts.split(","), 1):
        _check_host(host, number, has_user=bool(at))
    query = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in query:
        if name not in _QUERY:
            raise ValueError(f"parameter {name!r:.40} is unknown; known: {', '.join(_QUERY)}")
        if name in _FILES and (parts.scheme != "amqps" or not value):
            raise ValueError(f"parameter {name} needs " + ("a path" if parts.scheme == "amqps" else "amqps://"))
    rest = urlencode([(name, value) for name, value in query if name not in _FILES])
    return tuple(
        parts._replace(netloc=f"{user}{at}{host}", query=rest, fragment="").geturl() for host in hosts.split(",")
    )


def _check_host(host: str, number: int, has_user: bool) -> None:
    """Check one host. Without a user before it, the text may be a user and a password: no message quotes it."""
    match = _HOST.fullmatch(host)
    if not match:
        shown = f"{host!r:.80}" if has_user else f"host {number}"
        raise ValueError(f"{shown} is not a host, and not host:port; several are written host:port,host:port")
    if not is_host_name(match[1]):
        raise ValueError(f"{match[1]!r:.80}: {HOST_FAULT}")
    if match[2] and not 1 <= int(match[2]) <= 65535:
        shown = f"port {match[2]} of host {match[1]}" if has_user else f"the port of host {number}"
        raise ValueError(f"{shown} is not within 1 to 65535")


def names_files(url: str) -> bool:
    """Tell whether the URL names files of TLS."""
    return any(name in _FILES for name, _ in parse_qsl(urlsplit(url).query))


def tls(url: str) -> ssl.SSLContext | None:
    """Return the context for amqps://, which checks the broker's certificate and name, or None if pika makes its own.

    Raises ValueError if a file cannot be used.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme != "amqps" or "ssl_options" in query:
        return None
    if "keyfile" in query and "certfile" not in query:
        raise ValueError("parameter keyfile needs certfile too")
    name = "cacertfile"
    try:
        context = ssl.create_default_context(cafile=query.get("cacertfile"))
        if "certfile" in query:
            name = "certfile or keyfile"
            context.load_cert_chain(query["certfile"], query.get("keyfile"), password="")
    except OSError as error:  # ssl.SSLError is one
        reason = f"{error.strerror or error}"
        raise ValueError(f"parameter {name} names no usable PEM file: {reason}") from None
    return context
