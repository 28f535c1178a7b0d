"""URLs as messages show them: user, password, query and some paths may be secret."""

import re

MASK = "********"
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]*)?/?")


def shown_url(url: str) -> str:
    """Return a URL without user and password, which may hold any character, and with its query masked."""
    scheme, rest = _split(url)
    login, _, place = rest.rpartition("@")
    if _may_be_query(login) and not _PLACE.fullmatch(place):
        return f"{scheme}{MASK}"
    return scheme + re.sub(r"[?#].+", f"?{MASK}", place, flags=re.DOTALL)


def shown_host(url: str) -> str:
    """Return a URL with only its scheme, host and port. The rest is masked."""
    scheme, rest = _split(url)
    login, _, place = rest.rpartition("@")
    if _may_be_query(login):
        return f"{scheme}{MASK}"
    host, slash, path = place.partition("/")
    return re.sub(r"[?#].+", f"?{MASK}", f"{scheme}{host}", flags=re.DOTALL) + slash + (path and MASK)


def without_logins(text: str) -> str:
    """Return a text with user and password of its URLs masked."""
    return re.sub(r"\S+", lambda found: _without_login(found[0]), text)


def _without_login(word: str) -> str:
    # the expression "://\S*@" would take quadratic time
    scheme, rest = _split(word)
    _, at, place = rest.rpartition("@")
    return f"{scheme}{MASK}@{place}" if scheme and at else word


def _split(url: str) -> tuple[str, str]:
    scheme, slashes, rest = url.partition("://")
    return (scheme + slashes, rest) if slashes else ("", url)


def _may_be_query(login: str) -> bool:
    """Tell whether the text before an @ could as well be a host with a query, or the reverse."""
    return re.search("[?#]", login) is not None
