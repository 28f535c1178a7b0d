"""The client package: quick to import, and careful with keys."""

import ssl
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from dtqs.client import Client, Submission
from dtqs.client.connections import trust_for
from dtqs.client.errors import ApiRefusal, ApiUnavailable
from dtqs.errors import ConfigError
from dtqs.shown_url import shown_host, shown_url

DRIVERS = ("psycopg", "pika", "PIL", "falcon", "gevent", "pydantic")


def test_importing_the_client_imports_no_driver() -> None:
    program = f"import sys; from dtqs.client import Client; sys.exit([m for m in {DRIVERS!r} if m in sys.modules] or 0)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr


def test_the_key_of_the_environment_is_not_shown_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTQS_URL", "https://tasks.example")
    monkeypatch.setenv("DTQS_API_KEY", "secret")

    def key(client: Client) -> str | None:
        found: str | None = client._calls._client.headers.get("Authorization")
        return found

    assert (key(Client()), Client().url) == ("Bearer secret", "https://tasks.example")
    assert key(Client("https://tasks.example")) == "Bearer secret"
    assert key(Client("https://other.example")) is None
    assert key(Client("https://other.example", "own")) == "Bearer own"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://tasks.example",
        "tasks.example",
        "http://",
        "http://h:0",
        "http://h:x",
        "http://a..b",
        f"http://{'a' * 64}.example",
        "http://xn--/",
        "http://h\x7f",
        "http://h/a\nb",
        "http://\udcff",
    ],
)
def test_text_that_can_be_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the client's url = .*allowed: http://HOST:PORT"):
        Client(url)


def test_names_of_all_alphabets_and_addresses_are_urls() -> None:
    for url in ("http://ü.example", "https://[::1]:8080", "http://10.0.0.1:1/below", "http://localhost"):
        assert Client(url).url == url


def test_a_key_that_no_request_can_carry_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the client's api_key: allowed are") as refused:
        Client("https://tasks.example", "schlüssel")
    assert "schl" not in str(refused.value)
    monkeypatch.setenv("DTQS_API_KEY", "a\nb")
    with pytest.raises(ConfigError, match="DTQS_API_KEY: allowed are"):
        Client()


def test_a_submission_contains_only_the_fields_that_were_given() -> None:
    assert Submission("echo").as_json() == {"task_type": "echo", "payload": {}}
    assert Submission("echo", None).as_json() == {"task_type": "echo", "payload": {}}
    due = Submission("echo", {"a": 1}, priority=0, due_at=datetime(2026, 12, 24, 18, tzinfo=UTC), tags=("x",)).as_json()
    assert due == {
        "task_type": "echo",
        "payload": {"a": 1},
        "priority": 0,
        "due_at": "2026-12-24T18:00:00+00:00",
        "tags": ["x"],
    }


def test_tags_that_are_one_text_are_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(TypeError, match=r"tags = 'holiday'; allowed: a list of texts"):
        Submission("echo", tags="holiday").as_json()


@pytest.mark.parametrize(
    ("key", "hint"), [("secret", "DTQS_API_KEY is for the server that DTQS_URL names"), ("", "is not set")]
)
def test_a_refusal_without_a_key_says_why_none_was_sent(monkeypatch: pytest.MonkeyPatch, key: str, hint: str) -> None:
    monkeypatch.setenv("DTQS_API_KEY", key)
    monkeypatch.delenv("DTQS_URL", raising=False)
    with Client("https://other.example") as client, pytest.raises(ApiRefusal) as refused:
        client._calls._refuse(ApiRefusal("no", 401))
    assert hint in str(refused.value)
    assert "secret" not in str(refused.value)


def test_certificates_are_read_only_where_they_may_be_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert trust_for("https://dtqs.example").cert_store_stats()["x509_ca"] > 0
    for url in ("http://dtqs.example:8080", "http://127.0.0.1:8080"):
        nobody = trust_for(url)
        assert nobody.verify_mode == ssl.CERT_REQUIRED
        assert nobody.check_hostname
        assert nobody.cert_store_stats()["x509_ca"] == 0
    monkeypatch.setenv("HTTP_PROXY", "https://proxy.example")
    assert trust_for("http://dtqs.example:8080").cert_store_stats()["x509_ca"] > 0
    nobody = trust_for("http://localhost:8080")
    assert nobody.cert_store_stats()["x509_ca"] == 0, "no proxy reaches this machine's loopback"


def test_messages_show_no_password_of_the_url() -> None:
    url = "http://ada:secret@127.0.0.1:1"
    with (
        Client(url, again_seconds=0) as client,
        pytest.raises(ApiUnavailable, match=r"http://127\.0\.0\.1:1 ") as found,
    ):
        client.task("01929f3a-0000-7000-8000-000000000001")
    assert "secret" not in str(found.value)
    assert "ada" not in str(found.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:secret@127.0.0.1:0",
        "http://ada:secret@x@127.0.0.1:0",
        "http://ada:se/secret@127.0.0.1:0",
        "http://ada:x?secret@127.0.0.1:0",
        "http://ada:#\nsecret@127.0.0.1:0",
        "http:/ada:secret@127.0.0.1:0",
        "ada:secret@127.0.0.1:0",
    ],
)
def test_the_message_about_a_wrong_url_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        Client(url)
    assert "secret" not in str(wrong.value)
    assert "ada" not in str(wrong.value)
    assert "127.0.0.1:0'" in str(wrong.value)


def test_a_password_that_looks_like_a_path_is_not_shown() -> None:
    assert shown_url("http://ada:1/secret@127.0.0.1:1") == "http://127.0.0.1:1"
    assert shown_url("https://dtqs.example/api") == "https://dtqs.example/api"


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        ("https://gw.example/send/secret", None, "https://gw.example/********"),
        ("https://gw.example/?key=secret", "https://gw.example/?********", "https://gw.example/********"),
        ("https://gw.example?key=secret", "https://gw.example?********", "https://gw.example?********"),
        ("https://gw.example/?to=a@b&key=secret", "https://********", "https://********"),
        ("https://gw.example/?to=a@secret", None, "https://********"),
        ("https://ada:secret@gw.example/x", "https://gw.example/x", "https://gw.example/********"),
    ],
)
def test_queries_and_paths_that_may_hold_a_key_are_masked(url: str, shown: str | None, host: str) -> None:
    assert shown is None or shown_url(url) == shown
    assert shown_host(url) == host
