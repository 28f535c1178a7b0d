"""Sources fetched from real web servers: their bodies, refusals before any request, and time limits."""

import gzip
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable, InputRefused
from dtqs.files import FileSpace, TooLarge
from tests.support.fix_site import Clock, Site

Space = Callable[..., FileSpace]
PUBLIC = "93.184.216.34"


@pytest.fixture
def space(site: Site, tmp_path: Path) -> Space:
    """Make a file space that may fetch from the site."""

    def make(**settings: Any) -> FileSpace:
        defaults = {"fetch_ports": (site.port,), "fetch_allow_hosts": ("127.0.0.0/8",), "fetch_silence_seconds": 5}
        return FileSpace(FilesSection(directory=tmp_path / "space", **{**defaults, **settings}))

    return make


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Replace the system's resolver: real names cannot have the addresses that these tests need."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> Any:
        asked.append(host)
        return [found for address in known.get(host, [host]) for found in real(address, port, *rest, **options)]

    asked: list[str] = known.setdefault("asked", [])
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


def read(files: FileSpace, url: str) -> bytes:
    with files.open_input(url) as file:
        return file.read()


def left_over(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


# --- bodies


def test_a_body_is_an_open_file_without_a_name(site: Site, space: Space, tmp_path: Path) -> None:
    site.answers["/a%20b?c=%C3%A4"] = (200, {"Content-Type": "image/png"}, b"body" * 100_000)
    with space().open_input(site.url("/a b?c=ä#fragment")) as file:
        assert file.read(6) == b"bodybo"
        file.seek(0)
        assert len(file.read()) == 400_000
        assert os.fstat(file.fileno()).st_nlink == 0
    assert left_over(tmp_path) == []
    ((_, headers),) = site.seen
    assert headers == {
        "Host": f"127.0.0.1:{site.port}",
        "User-Agent": "dtqs",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def test_an_empty_body_and_a_chunked_one_are_bodies_too(site: Site, space: Space) -> None:
    site.answers["/empty"] = (200, {}, b"")
    site.answers["/chunks"] = lambda connection: connection.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    site.answers["/until-closed"] = lambda connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert [read(space(), site.url(path)) for path in ("/empty", "/chunks", "/until-closed")] == [b"", b"abcde", b"abc"]


def test_the_environment_does_not_change_the_destination(
    site: Site, space: Space, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    site.answers["/"] = (200, {}, b"x")
    assert read(space(), site.url("/")) == b"x"
    assert "Authorization" not in site.seen[0][1]


# --- allowed destinations


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_an_internal_host_gets_no_connection(site: Site, space: Space, host: str) -> None:
    site.answers["/"] = (200, {}, b"x")
    with pytest.raises(InputRefused, match="loopback") as refused:
        space(fetch_allow_hosts=()).open_input(site.url("/", host))
    assert site.seen == []
    assert "127" not in refused.value.reason


def test_a_host_is_refused_if_one_of_its_addresses_is_internal(
    site: Site, space: Space, names: dict[str, list[str]]
) -> None:
    names["mixed.example"] = [PUBLIC, "10.0.0.1"]
    with pytest.raises(InputRefused, match="private"):
        space().open_input(site.url("/", "mixed.example"))


def test_the_connection_goes_to_the_address_that_was_checked(
    site: Site, space: Space, names: dict[str, list[str]]
) -> None:
    names["rebound.example"] = ["127.0.0.1"]
    site.answers["/"] = (200, {}, b"x")
    assert read(space(), site.url("/", "rebound.example")) == b"x"
    assert names["asked"].count("rebound.example") == 1
    assert site.seen[0][1]["Host"] == f"rebound.example:{site.port}"


def test_the_next_address_is_tried_if_the_first_does_not_answer(
    site: Site, space: Space, names: dict[str, list[str]]
) -> None:
    names["two.example"] = ["127.0.0.99", "127.0.0.1"]
    site.answers["/"] = (200, {}, b"x")
    assert read(space(), site.url("/", "two.example")) == b"x"


@pytest.mark.parametrize(
    ("target", "named", "reason"),
    [
        (
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.169.254/latest/meta-data/",
            "port 80 is not allowed",
        ),
        ("http://169.254.169.254:{port}/a?b=secret", "http://169.254.169.254:{port}/a?b=…", "link-local"),
        ("http://[::ffff:10.0.0.1]:{port}/", "http://[::ffff:a00:1]:{port}/", "private"),
        ("http://internal.example:{port}/", "http://internal.example:{port}/", "private"),
        ("file:///etc/passwd", "file:///etc/passwd", "only http: and https:"),
        ("ftp://127.0.0.1/", "ftp://127.0.0.1/", "only http: and https:"),
        ("http://ada:secret@127.0.0.1:{port}/", "http://…@127.0.0.1:{port}/", "a user name"),
        ("/again?sig=secret", "http://127.0.0.1:{port}/again?sig=…", "redirects more than 5 times"),
        ("/missing", "http://127.0.0.1:{port}/missing", "its server answers 404"),
    ],
)
def test_a_redirect_is_checked_like_the_first_url_and_both_are_named(
    site: Site, space: Space, names: dict[str, list[str]], target: str, named: str, reason: str
) -> None:
    names["internal.example"] = ["10.0.0.1"]
    site.answers["/again?sig=secret"] = (302, {"Location": target.format(port=site.port)}, b"")
    with pytest.raises(InputRefused, match=reason) as refused:
        space().open_input(site.url("/again?sig=secret"))
    first, _, rest = str(refused.value).partition("sig=…")
    assert first == site.url("/again?")
    assert named.format(port=site.port) in rest
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "answer", [(404, {}, b""), (503, {}, b""), (200, {"Content-Encoding": "gzip"}, b"x"), (200, {}, b"x" * 11)]
)
def test_no_error_shows_the_secrets_of_a_signed_url(site: Site, space: Space, answer: Any) -> None:
    site.answers["/a?X-Amz-Signature=secret"] = answer
    with pytest.raises((InputRefused, FilesUnavailable), match=r"/a\?X-Amz-Signature=…: ") as failed:
        space(fetch_max_bytes=10).open_input(site.url("/a?X-Amz-Signature=secret"))
    assert "secret" not in str(failed.value)


def test_no_error_shows_a_password(space: Space) -> None:
    with pytest.raises(InputRefused, match="a user name or password is not allowed") as refused:
        space().open_input("https://ada:secret@example.org/a")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(site: Site, space: Space, status: int) -> None:
    site.answers |= {"/from": (status, {"Location": "to?a=b"}, b"ignored"), "/to?a=b": (200, {}, b"there")}
    assert read(space(), site.url("/from")) == b"there"


def test_no_redirect_is_followed_if_none_is_allowed(site: Site, space: Space) -> None:
    site.answers |= {"/from": (301, {"Location": "/to"}, b""), "/to": (200, {}, b"there")}
    with pytest.raises(InputRefused, match="more than 0 times"):
        space(fetch_max_redirects=0).open_input(site.url("/from"))
    assert site.paths == ["/from"]


# --- faults


@pytest.mark.parametrize("status", [204, 206, 300, 304, 400, 401, 403, 404, 405, 410, 451])
def test_an_answer_that_will_not_change_is_permanent(site: Site, space: Space, status: int) -> None:
    site.answers["/"] = (status, {}, b"")
    with pytest.raises(InputRefused, match=f"answers {status}"):
        space().open_input(site.url("/"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_change_is_worth_a_retry(site: Site, space: Space, status: int) -> None:
    site.answers["/"] = (status, {"Retry-After": "120"}, b"")
    with pytest.raises(FilesUnavailable, match=f"answers {status}") as unavailable:
        space().open_input(site.url("/"))
    assert unavailable.value.retry_after_seconds == 120


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"SSH-2.0\r\n\r\n",
        b"",
    ],
)
def test_a_cut_or_invalid_answer_is_worth_a_retry_and_leaves_no_file(
    site: Site, space: Space, tmp_path: Path, answer: bytes
) -> None:
    site.answers["/"] = lambda connection: connection.sendall(answer)
    with pytest.raises(FilesUnavailable, match="could not be fetched"):
        space().open_input(site.url("/"))
    assert left_over(tmp_path) == []


def test_a_host_that_does_not_answer_is_worth_a_retry(site: Site, space: Space, names: dict[str, list[str]]) -> None:
    names["gone.example"] = ["127.0.0.99"]
    with pytest.raises(FilesUnavailable, match="refused"):
        space().open_input(site.url("/", "gone.example"))
    names["none.example"] = ["nothing.invalid"]
    with pytest.raises((InputRefused, FilesUnavailable), match=r"no host has this name|could not be resolved"):
        space().open_input(site.url("/", "none.example"))


def test_a_body_over_the_limit_is_refused_by_its_announced_and_its_actual_length(
    site: Site, space: Space, tmp_path: Path
) -> None:
    bomb = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 20 * (b"100\r\n" + b"x" * 256 + b"\r\n")
    announced = site.silence(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
    site.answers |= {
        "/announced": announced,
        "/fits": (200, {}, b"x" * 1000),
        "/chunks": lambda connection: connection.sendall(bomb),
    }
    assert len(read(space(fetch_max_bytes=1000), site.url("/fits"))) == 1000
    for path in ("/announced", "/chunks"):
        with pytest.raises(TooLarge, match="1000 bytes"):
            space(fetch_max_bytes=1000).open_input(site.url(path))
    assert left_over(tmp_path) == []


def test_a_compressed_body_is_refused_because_its_size_is_unknown(site: Site, space: Space) -> None:
    site.answers["/"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 10_000_000))
    with pytest.raises(InputRefused, match=r"compressed body \(gzip\)"):
        space().open_input(site.url("/"))


# --- time limits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("first", [HEAD, b"HTTP/1.1 200 OK\r\nX-Long: "])
def test_a_trickle_ends_at_the_limit_of_the_whole_fetch(site: Site, space: Space, first: bytes) -> None:
    site.answers["/"] = site.trickle(first)
    with Clock() as clock, pytest.raises(FilesUnavailable, match="within 1 s"):
        space(fetch_timeout_seconds=1).open_input(site.url("/"))
    assert 0.9 < clock.seconds < 3


@pytest.mark.parametrize("first", [HEAD + b"abc", b""])
def test_silence_ends_earlier(site: Site, space: Space, first: bytes) -> None:
    site.answers["/"] = site.silence(first)
    with Clock() as clock, pytest.raises(FilesUnavailable, match=r"silent for 0\.5 s"):
        space(fetch_silence_seconds=0.5).open_input(site.url("/"))
    assert clock.seconds < 3


def test_name_resolution_has_the_same_limit_as_other_waits(
    site: Site, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(10) and [])
    with Clock() as clock, pytest.raises(FilesUnavailable):
        space(fetch_silence_seconds=0.5).open_input(site.url("/", "slow.example"))
    end.set()
    assert clock.seconds < 3


class Interrupt(BaseException):
    """Derive from BaseException, as the worker's interrupt does."""


@pytest.fixture
def interrupted() -> Iterator[None]:
    """Send this process a signal in a moment, whose handler raises."""

    def handle(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("waits_for", ["body", "head", "name"])
def test_a_time_limit_or_a_cancel_ends_a_fetch(
    site: Site, space: Space, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits_for: str, interrupted: None
) -> None:
    end = threading.Event()
    site.answers["/"] = site.silence(HEAD if waits_for == "body" else b"")
    if waits_for == "name":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(10) and [])
    with Clock() as clock, pytest.raises(Interrupt):
        space().open_input(site.url("/", "127.0.0.1" if waits_for != "name" else "slow.example"))
    end.set()
    assert clock.seconds < 2
    assert left_over(tmp_path) == []


# --- TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """Return an authority that the system trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Site]:
    """Start a site whose certificate is for files.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("files.example").configure_cert(context)
    made = Site(context)
    yield made
    made.close()


def test_the_certificate_is_checked_against_the_hosts_name_and_not_its_address(
    secure: Site, space: Space, names: dict[str, list[str]], site: Site
) -> None:
    names |= {"files.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    secure.answers |= {"/": (200, {}, b"safe"), "/down": (302, {"Location": site.url("/")}, b"")}
    files = space(fetch_ports=(secure.port, site.port))
    assert read(files, secure.url("/", "files.example")) == b"safe"
    for host in ("other.example", "127.0.0.1"):
        with pytest.raises(InputRefused, match="certificate"):
            files.open_input(secure.url("/", host))
    with pytest.raises(InputRefused, match="from https: to http:"):
        files.open_input(secure.url("/down", "files.example"))
    assert (secure.paths, site.paths) == (["/", "/down"], [])


def test_an_unknown_authority_is_refused(space: Space, names: dict[str, list[str]]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("files.example").configure_cert(context)
    names["files.example"] = ["127.0.0.1"]
    site = Site(context)
    try:
        with pytest.raises(InputRefused, match="certificate"):
            space(fetch_ports=(site.port,)).open_input(site.url("/", "files.example"))
    finally:
        site.close()
