"""Tells whether host and port of a URL can be connected to."""

from urllib.parse import SplitResult, urlsplit

from dtqs.host_name import HOST_FAULT, is_host_name


def check_host_and_port(url: str) -> None:
    """Check a URL's host by its form, and its port if it has one. Raises ValueError, which names the fault."""
    parts = urlsplit(url)
    if not is_host_name(parts.hostname or ""):
        raise ValueError(HOST_FAULT)
    port_of(parts)


def port_of(parts: SplitResult) -> int | None:
    """Return the port that a URL names, or None. Raises ValueError for one that cannot be connected to."""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port is not valid; allowed: 1 to 65535")
    return port
