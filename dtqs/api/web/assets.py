"""The files of the dashboard: the page at `/` and its static files.

A path contains the hash of all files, so browsers may cache each file permanently.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

import falcon

from dtqs.api.http.answer import answer

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PAGE = "index.html"
_SECRETS = "secrets.js"
"""Masking rules, generated from the file that the terminal uses, too."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_NO_WEIGHT = re.compile(r"q=0(\.0{0,3})?")
_PERMANENT = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True)
class _Asset:
    media_type: str
    plain: bytes
    compressed: bytes
    etag: str


class Assets:
    """All files, read once, each also compressed. `version` is the hash of all."""

    def __init__(self) -> None:
        folder = resources.files("dtqs.api.web") / "static"
        found = {
            file.name: file.read_bytes()
            for file in sorted(folder.iterdir(), key=lambda file: file.name)
            if _ending(file.name) in _TYPES
        }
        found[_SECRETS] = b"export default " + (resources.files("dtqs") / "masking.json").read_bytes()
        digest = hashlib.sha256()
        for name, content in found.items():
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
        self.version = digest.hexdigest()[:16]
        found[_PAGE] = found[_PAGE].replace(b"{version}", self.version.encode())
        self._assets = {name: _asset(name, content) for name, content in found.items()}
        self.page = self._assets.pop(_PAGE)

    def get(self, name: str) -> _Asset | None:
        """Return a file, None for an unknown name."""
        return self._assets.get(name)


class DashboardPage:
    """GET /: the dashboard for clients that accept HTML; for others, JSON with links."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.append_header("Vary", "Accept")
        if "text/html" in (req.get_header("Accept") or ""):
            _send(req, resp, self._assets.page, _REVALIDATE)
        else:
            answer(resp, {"name": "dtqs", "dashboard": "/", "description": "/openapi.json"})

    on_head = on_get


class Static:
    """/web/{version}/{name}. Two versions may run during an upgrade: a file of the other one is not cached."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def on_get(self, req: falcon.Request, resp: falcon.Response, version: str, name: str) -> None:
        asset = self._assets.get(name)
        if asset is None:
            raise falcon.HTTPNotFound(description="no such file")
        _send(req, resp, asset, _PERMANENT if version == self._assets.version else _REVALIDATE)

    on_head = on_get


def _send(req: falcon.Request, resp: falcon.Response, asset: _Asset, keep: str) -> None:
    resp.set_headers(HEADERS | {"ETag": asset.etag, "Cache-Control": keep})
    resp.append_header("Vary", "Accept-Encoding")
    if asset.etag in (req.get_header("If-None-Match") or ""):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = asset.media_type
    if takes_gzip(req.get_header("Accept-Encoding") or ""):
        resp.set_header("Content-Encoding", "gzip")
        resp.data = asset.compressed
    else:
        resp.data = asset.plain


def takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding header names gzip with a weight above 0 (RFC 9110, section 12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return _NO_WEIGHT.fullmatch(weight.strip()) is None
    return False


def _asset(name: str, content: bytes) -> _Asset:
    return _Asset(
        _TYPES[_ending(name)],
        content,
        gzip.compress(content, mtime=0),
        f'W/"{hashlib.sha256(content).hexdigest()[:16]}"',
    )


def _ending(name: str) -> str:
    return name.rpartition(".")[2]
