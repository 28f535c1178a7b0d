"""The client package: quick to import, and careful with keys."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from dtqs.client import Client, Submission

DRIVERS = ("psycopg", "pika", "PIL", "falcon", "gevent", "pydantic")


def test_importing_the_client_imports_no_driver() -> None:
    program = f"import sys; from dtqs.client import Client; sys.exit([m for m in {DRIVERS!r} if m in sys.modules] or 0)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr


def test_the_environments_key_is_not_shown_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTQS_URL", "https://tasks.example")
    monkeypatch.setenv("DTQS_API_KEY", "secret")

    def key(client: Client) -> str | None:
        found: str | None = client._calls._client.headers.get("Authorization")
        return found

    assert (key(Client()), Client().url) == ("Bearer secret", "https://tasks.example")
    assert key(Client("https://tasks.example")) == "Bearer secret"
    assert key(Client("https://other.example")) is None
    assert key(Client("https://other.example", "own")) == "Bearer own"


def test_a_submission_says_only_what_was_said() -> None:
    assert Submission("echo").as_json() == {"task_type": "echo", "payload": {}}
    due = Submission("echo", {"a": 1}, priority=0, due_at=datetime(2026, 12, 24, 18, tzinfo=UTC), tags=("x",)).as_json()
    assert due == {"task_type": "echo", "payload": {"a": 1}, "priority": 0, "due_at": "2026-12-24T18:00:00+00:00", "tags": ["x"]}
