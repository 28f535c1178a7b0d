"""Fixture `aws`: an environment without credentials, and a server that gives them out as AWS describes it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

_STS_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{AccessKeyId}</AccessKeyId>
<SecretAccessKey>{SecretAccessKey}</SecretAccessKey><SessionToken>{Token}</SessionToken>
<Expiration>{Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
_ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Given:
    """One set of keys, and the time until they end."""

    access_key: str
    secret_key: str = "secret"
    token: str = "token"
    seconds: float = 3600.0

    def answer(self) -> dict[str, str]:
        ends = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return {
            "Code": "Success",
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        }


@dataclass
class Aws:
    """The server gives out `given` in this order, the last one again and again. `silent`: it does not answer."""

    port: int
    home: Path
    given: list[Given] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Method and path, the Authorization header, and the body of each request."""
    silent: bool = False
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next(self) -> dict[str, str]:
        return (self.given.pop(0) if len(self.given) > 1 else self.given[0]).answer()

    def config(self, text: str) -> None:
        """Write the shared file of profiles."""
        (self.home / "config").write_text(text)


class _Handler(BaseHTTPRequestHandler):
    aws: Aws

    def do_GET(self) -> None:
        if self.path == _ROLE_PATH:
            self._answer("role")
        else:
            self._answer("")

    def do_PUT(self) -> None:
        self._answer("metadata-token")

    def do_POST(self) -> None:
        self._answer("", _STS_ANSWER)

    def _answer(self, text: str, form: str = "") -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.aws.seen.append((f"{self.command} {self.path}", self.headers.get("Authorization", ""), body))
        if self.aws.silent:
            self.aws.closing.wait(30)
            return
        if not text:
            text = form.format(**self.aws.next()) if form else json.dumps(self.aws.next())
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    server.daemon_threads = True
    made = server.RequestHandlerClass.aws = Aws(server.server_address[1], tmp_path)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{made.url}/")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", made.url)
    yield made
    made.closing.set()
    server.shutdown()
    server.server_close()
