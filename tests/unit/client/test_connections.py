"""The environment's proxies and certificates, and the login of a URL: each fault has words, and no value is shown."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from dtqs.cli.checks import servers
from dtqs.cli.endpoint import Endpoint
from dtqs.client import ApiUnavailable, Client
from dtqs.errors import ConfigError
from tests.support.certificates import two_authorities, write_certificate

TASK = "01929f3a-0000-7000-8000-000000000001"
FAULTS = [
    ("ALL_PROXY", "socks5://ada:secret@127.0.0.1:1080", "ALL_PROXY"),
    ("NO_PROXY", "localhost,[::1]", "NO_PROXY"),
    ("HTTPS_PROXY", "ftp://ada:secret@x:1", "HTTPS_PROXY"),
    ("HTTP_PROXY", "http://ada:p/secret@h:1", "HTTP_PROXY"),
    ("http_proxy", "http://secret..b:1", "http_proxy"),
    ("SSL_CERT_FILE", "/nonexistent", "SSL_CERT_FILE"),
    ("SSL_CERT_FILE", "/etc/passwd", "SSL_CERT_FILE"),
]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(("name", "value", "words"), FAULTS)
def test_a_useless_variable_of_the_environment_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words) as found:
        Client("https://tasks.example")
    assert "secret" not in str(found.value)
    (check,) = servers.api(Endpoint("https://tasks.example", None, "DTQS_URL"))
    assert (check.state, words in check.found, "secret" in check.found) == ("warning", True, False)


@pytest.mark.parametrize("name", ["http_proxy", "NO_PROXY"])
def test_no_proxy_concerns_the_own_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "ftp://[::")
    Client("http://127.0.0.1:9").close()


def test_hosts_without_a_proxy_may_have_any_usual_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("ftp_proxy", "ftp://[::")
    for hosts in ("*", "localhost, 10.0.0.0/8, .example.org", "127.0.0.1,::1"):
        monkeypatch.setenv("NO_PROXY", hosts)
        Client("https://tasks.example").close()


@pytest.mark.parametrize("login", ["ada:pw@", "ada@", ":pw@"])
def test_a_login_in_the_url_does_not_replace_the_key(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    url = f"http://{login}tasks.example"
    with pytest.raises(ConfigError, match=r"the client's url = 'http://tasks\.example': .*api_key"):
        Client(url, "dtqs_key")
    monkeypatch.setenv("DTQS_URL", url)
    monkeypatch.delenv("DTQS_API_KEY", raising=False)
    Client().close()
    monkeypatch.setenv("DTQS_API_KEY", "dtqs_key")
    with pytest.raises(ConfigError, match=r"DTQS_URL = 'http://tasks\.example': "):
        Client()


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[str]:
    """A server on 127.0.0.1 with a certificate of the authority in ca.pem."""
    authority: trustme.CA = two_authorities(tmp_path)
    write_certificate(tmp_path, "server", authority.issue_cert("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as one:
        one.socket = context.wrap_socket(one.socket, server_side=True)
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{one.server_port}"
        one.shutdown()
        thread.join(10)


def fault(url: str) -> str:
    with Client(url, "k", again_seconds=0) as client, pytest.raises(ApiUnavailable) as found:
        client.task(TASK)
    return str(found.value)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_own_authority_is_trusted_on_this_machine_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls_url: str, name: str
) -> None:
    trusted = tmp_path / "ca.pem"
    if name == "SSL_CERT_DIR":
        trusted = tmp_path / "certs"
        trusted.mkdir()
        hashed = ssl_hash(tmp_path / "ca.pem")
        (trusted / f"{hashed}.0").write_bytes((tmp_path / "ca.pem").read_bytes())
    assert "CERTIFICATE_VERIFY_FAILED" in fault(tls_url)
    monkeypatch.setenv(name, str(trusted))
    assert "answered 501" in fault(tls_url)
    (check,) = servers.api(Endpoint(tls_url, None, "DTQS_URL"))
    assert check.found == f"{tls_url} answers 501"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in fault(tls_url)


def ssl_hash(certificate: Path) -> str:
    """Return the name by which OpenSSL finds a certificate in a folder."""
    words = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def test_the_authorities_of_the_machine_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls_url: str
) -> None:
    load = ssl.SSLContext.set_default_verify_paths

    def of_the_machine(self: ssl.SSLContext) -> None:
        load(self)
        self.load_verify_locations(tmp_path / "ca.pem")

    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", of_the_machine)
    assert "answered 501" in fault(tls_url)


def test_a_closed_client_says_so() -> None:
    client = Client("http://127.0.0.1:9", again_seconds=0)
    client.close()
    for call in (lambda: client.task(TASK), lambda: client.submit("echo"), lambda: list(client.stream(TASK))):
        with pytest.raises(RuntimeError, match="the client is closed; make a new one"):
            call()
