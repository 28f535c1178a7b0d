"""The form of source URIs: upload:, http:, https:, s3: or file:. FileSpace decides whether one may be opened."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

import idna

from dtqs.one_line import NOT_IN_NAMES
from dtqs.url_host import port_of
from dtqs.uuid7 import is_uuid

SCHEMES = ("upload", "https", "http", "s3", "file")
URI_CHARACTERS = 2048
ALLOWED = "upload:ID, https://host/path, http://host/path, s3://bucket/key or file:/path"
DEFAULT_PORTS = {"http": 80, "https": 443}
S3_KEY_BYTES = 1024
REDACTED_CHARACTERS = 300

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_WANTED_BRACKETS = "allowed between [ and ]: an IPv6 address without a zone"
_BAD_HOST = "the host is missing or not valid; allowed: https://host/path"
_USER_INFO = re.compile(
    rf"^((?:(?:{'|'.join(SCHEMES)}|[a-z][a-z0-9+.-]*(?=:[/\\])):)?[/\\]*+).*@", re.IGNORECASE | re.DOTALL
)
_QUERY = re.compile(r"\?|%(?:25)*3F", re.IGNORECASE)
"""The beginning of a query, also if a program encoded it once too often."""
_NAMED = re.compile(r"([\w.~[\]-]*=)=*[^=].*", re.DOTALL)
_PATH_PARAMETER = re.compile("(?<=[;&])[^/;&]*=[^/;&]*")
_TARGET_SAFE = "/?%:@!$&'()*+,;=~[]|"


@dataclass(frozen=True, slots=True)
class SourceUri:
    """A parsed source. `rest` is an upload's id, a file's decoded path, `bucket/key`, or the normalized URL."""

    scheme: str
    rest: str


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed http: or https: URL: `host` in ASCII, without brackets; `target` is path and query as sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host, with its port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(uri: str) -> SourceUri:
    """Parse a source URI. Raises ValueError, which says what is allowed."""
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        raise ValueError(f"not a known source; allowed: {ALLOWED}")
    if len(uri) > URI_CHARACTERS:
        raise ValueError(f"the URI has {len(uri)} characters; at most {URI_CHARACTERS} are allowed")
    _refuse_hidden(uri)
    match scheme:
        case "upload":
            return SourceUri(scheme, _upload_id(rest))
        case "s3":
            return SourceUri(scheme, _bucket_and_key(rest))
        case "file":
            return SourceUri(scheme, _path(rest))
    return SourceUri(scheme, parse_url(uri).text)


def redacted(uri: str) -> str:
    """Return a source, valid or not, for messages: without credentials, and without parameter values.

    The values may be signatures.
    """
    try:
        parse(uri)
    except ValueError:
        # a URI with user info is never valid, so anything before an @ in an invalid one may be a password
        uri = _USER_INFO.sub(r"\1…@", uri)
    place, fragment, _ = uri.partition("#")
    query = _QUERY.search(place)
    start, end = query.span() if query else (len(place), len(place))
    path = _PATH_PARAMETER.sub(lambda found: _without_value(found[0]), place[:start])
    parameters = "&".join(map(_without_value, place[end:].split("&")))
    clean = f"{path}{place[start:end]}{parameters}{fragment and '#…'}"
    text = NOT_IN_NAMES.sub("\ufffd", clean[: REDACTED_CHARACTERS + 1])
    return text if len(text) <= REDACTED_CHARACTERS else f"{text[:REDACTED_CHARACTERS]}…"


def check(uri: str) -> str:
    """Return the URI unchanged, for a payload's field. Raises ValueError."""
    parse(uri)
    return uri


def upload_id(uri: str) -> str | None:
    """Return the id of the upload that a URI names; None for other sources and invalid URIs."""
    try:
        source = parse(uri)
    except ValueError:
        return None
    return source.rest if source.scheme == "upload" else None


def parse_url(text: str, base: Url | None = None) -> Url:
    """Parse an http: or https: URL; a redirect's may be relative to `base`. Raises ValueError."""
    _refuse_hidden(text)
    try:
        parts = urlsplit(urljoin(base.text, text) if base else text)
    except ValueError as error:
        # beside wrong brackets, urlsplit refuses letters whose compatibility form contains a separator, such as ℀
        raise ValueError(_BAD_HOST if "NFKC" in str(error) else _WANTED_BRACKETS) from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("only http: and https: can be fetched; allowed: https://host/path")
    if "@" in parts.netloc or "\\" in parts.netloc:
        raise ValueError("a user name or password is not allowed; allowed: https://host/path")
    port = port_of(parts)
    target = quote(parts.path or "/", safe=_TARGET_SAFE) + (
        f"?{quote(parts.query, safe=_TARGET_SAFE)}" if parts.query else ""
    )
    return Url(parts.scheme, _host(parts.hostname or ""), port or DEFAULT_PORTS[parts.scheme], target)


def _refuse_hidden(text: str) -> None:
    if found := NOT_IN_NAMES.search(text):
        raise ValueError(
            f"the character U+{ord(found[0]):04X} is not allowed in a URI: it cannot be shown in a message"
        )


def _without_value(parameter: str) -> str:
    """Return a parameter's name without its value; hide a parameter without `=`, since it may be a token."""
    named = _NAMED.fullmatch(parameter)
    return f"{named[1]}…" if named else parameter and "…"


def _host(host: str) -> str:
    """Return the host's name in ASCII, or its address without brackets."""
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(_WANTED_BRACKETS) from None
        if address.scope_id:
            raise ValueError(_WANTED_BRACKETS)
        return str(address)
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        name = ""
    name = name.lower().removesuffix(".")
    if not _HOST.fullmatch(name) or len(name) > 253 or ".." in name:
        raise ValueError(_BAD_HOST)
    return name


def _upload_id(rest: str) -> str:
    if not is_uuid(rest):
        raise ValueError("allowed after upload: the id of a file, a UUID in lower case")
    return rest


def _bucket_and_key(rest: str) -> str:
    """Return `bucket/key`; keys are literal, not percent-encoded. Keys that a proxy could rewrite are refused."""
    bucket, slash, key = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not slash or not _BUCKET.fullmatch(bucket) or not key:
        raise ValueError("allowed after s3: //bucket/key")
    too_long = len(key.encode("utf-8", "surrogatepass")) > S3_KEY_BYTES
    if too_long or {"", ".", ".."} & set(key.removesuffix("/").split("/")):
        raise ValueError(f"allowed: a key of at most {S3_KEY_BYTES} bytes, without empty parts, . and ..")
    return f"{bucket}/{key}"


def _path(rest: str) -> str:
    if rest.startswith("//"):
        host, _, tail = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError("a file on another host cannot be read; allowed: file:/path or file:///path")
        rest = f"/{tail}"
    path = unquote(rest, errors="surrogateescape")
    if not path.startswith("/") or "\0" in path:
        raise ValueError("allowed after file: an absolute path")
    return path
