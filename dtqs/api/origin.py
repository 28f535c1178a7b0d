"""Where a request of a browser comes from: what a cookie, or no key at all, is good for must not be done for other people's pages."""

from urllib.parse import urlsplit

import falcon

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def refuse_foreign(req: falcon.Request, is_browser: bool) -> None:
    """Refuse a change that another site's page asks for. `is_browser`: one that does not say where it comes from is refused too. Raises HTTPForbidden.

    Sec-Fetch-Site is the browser's own word, but only sent to https and loopback; Origin comes with every change that a browser of these years makes.
    """
    if req.method in SAFE_METHODS:
        return
    site, origin = req.get_header("Sec-Fetch-Site"), req.get_header("Origin")
    if site is not None:
        ours = site == "same-origin"
    elif origin is not None:
        ours = urlsplit(origin).netloc == req.get_header("Host")
    else:
        ours = not is_browser
    if not ours:
        raise falcon.HTTPForbidden(description="a page of another site must not do this; with an API key it can be done from anywhere")
