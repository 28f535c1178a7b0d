"""E-mail through the whole system: submitted over HTTP with an attached upload, sent with STARTTLS and AUTH."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fix_system import Factory
from tests.support.mail_server import PASSWORD, MailServerUnderTest


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServerUnderTest]:
    server = MailServerUnderTest(tmp_path)
    server.start()
    yield server
    server.end()


def test_emails_arrive_with_their_attachments_and_wait_for_their_turn(
    system: Factory, server: MailServerUnderTest
) -> None:
    (server.folder / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    keys = {
        key: value
        for key, value in server.settings(per_domain_per_second=5, per_domain_burst=1).items()
        if key != "password"
    }
    running = system({"processor:email": {**keys, "password_file": server.folder / "password"}})
    refusal = running.client.post(
        "/submit", json={"task_type": "email", "payload": {"to": ["ada@example.net\r\n"], "from": "eve@example.com"}}
    )
    assert refusal.status_code == 422
    assert [problem["field"] for problem in refusal.json()["errors"]] == [
        "payload.to[0]",
        "payload.subject",
        "payload.text",
    ]

    uri = running.client.post("/files", content=b"%PDF-1.7\n").json()["uri"]
    payload = {
        "to": ["Ada <ada@example.net>"],
        "subject": "Grüße",
        "text": "Hello",
        "attachments": [{"source": uri, "filename": "invoice.pdf"}],
    }
    server.data_answers = ["451 4.3.0 try later"]
    task = running.wait_for(running.submit(payload, "email"))
    assert (task["status"], task["attempt"]) == ("completed", 2)
    assert task["result"]["accepted"] == ["ada@example.net"]
    (mail,) = server.mails
    assert mail.login
    assert mail.message["Message-ID"] == task["result"]["message_id"] == f"<{task['task_id']}@example.org>"
    (part,) = mail.message.iter_attachments()
    assert (part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) == (
        "invoice.pdf",
        "application/pdf",
        b"%PDF-1.7\n",
    )

    # e-mails that wait for their turn spend no attempt
    tasks = [
        running.wait_for(task_id)
        for task_id in running.submit_many(3, {"to": ["ada@example.net"], "subject": "s", "text": "t"}, "email")
    ]
    assert [(task["status"], task["attempt"]) for task in tasks] == [("completed", 1)] * 3
    assert len(server.mails) == 4
    assert PASSWORD not in running.log("supervisor") + running.log("api")
