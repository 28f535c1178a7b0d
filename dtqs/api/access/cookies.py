"""One cookie of a request, by name. The standard library's parser takes quadratic time in Python before 3.11.10."""

import falcon


def cookie(req: falcon.Request, name: str) -> str | None:
    """Return the value of the first cookie with this name, or None. Our values need no unquoting."""
    for pair in (req.env.get("HTTP_COOKIE") or "").split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.strip() == name:
            return value.strip().strip('"')
    return None
