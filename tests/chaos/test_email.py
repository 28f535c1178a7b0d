"""A worker that dies between an e-mail and the server's answer.

Nobody knows whether the server took the e-mail. It is sent again only if the settings say so.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.mail_server import MailServerUnderTest

HELLO = {"to": ["ada@example.net"], "subject": "Hello", "text": "How are you?"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServerUnderTest]:
    server = MailServerUnderTest(tmp_path)
    server.start()
    yield server
    server.end()


@pytest.mark.parametrize(("on_ambiguous", "outcome", "mails"), [("fail", "failed", 1), ("retry", "completed", 2)])
def test_on_ambiguous_decides_after_a_worker_was_killed_before_the_answer(
    trial: Try, server: MailServerUnderTest, on_ambiguous: str, outcome: str, mails: int
) -> None:
    server.data_answers = ["stall"]
    system = trial({"pool:default": {"workers": 1}, "processor:email": server.settings(on_ambiguous=on_ambiguous)})
    task_id = system.put_one(HELLO, task_type="email")
    eventually(lambda: server.mails, 10, "the server has received the e-mail")
    system.kill(system.holder(task_id).pid)
    assert system.outcome(task_id) == outcome
    assert len(server.mails) == mails
    assert len({mail.message["Message-ID"] for mail in server.mails}) == 1
    if outcome == "failed":
        assert "after the effect had begun" in system.error(task_id)
        assert "[processor:email] on_ambiguous" in system.error(task_id)
    assert [row.message for row in system.logs(task_id) if row.event == "log"] == ["handing the mail over"] * mails
    system.check()
