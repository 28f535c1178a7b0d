"""The command `mails`: it lists and shows e-mails, and their text cannot control the terminal."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dtqs.cli import main
from dtqs.processors.email import EmailProcessor
from dtqs.processors.email.payload import EmailPayload
from dtqs.processors.email.settings import EmailSettings
from tests.support.fix_processors import Attempt


@pytest.fixture
def ini(tmp_path: Path, attempt: Attempt) -> Path:
    """Return a configuration whose folder holds two e-mails."""
    processor = EmailProcessor(
        EmailSettings.model_validate({"backend": "folder", "folder": tmp_path / "mails", "sender": "a@b.c"})
    )
    for subject in ("first", "second\u202e"):
        payload = {
            "to": ["Ada <ada@x.org>"],
            "bcc": ["eve@x.org"],
            "subject": subject,
            "text": "one\x1b[2J\ntwo",
            "html": "<p>",
        }
        processor.run(EmailPayload.model_validate(payload), attempt.context())
    (tmp_path / "dtqs.ini").write_text(
        f"[processor:email]\nbackend = folder\nfolder = {tmp_path}/mails\n", encoding="utf-8"
    )
    return tmp_path / "dtqs.ini"


def mails(ini: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["mails", "--config", str(ini), *arguments])


def test_emails_are_listed_newest_first(ini: Path) -> None:
    lines = mails(ini).output.splitlines()
    assert ["second\\u202e" in lines[1], "first" in lines[2]] == [True, True]
    assert "ada@x.org, eve@x.org" in lines[1]
    listed = json.loads(mails(ini, "--json", "--limit", "1").output)["mails"]
    assert [(each["n"], each["subject"]) for each in listed] == [(1, "second\u202e")]


def test_an_email_is_shown_by_number_or_task_and_cannot_control_the_terminal(ini: Path) -> None:
    output = mails(ini, "1").output
    assert "Subject: second\\u202e" in output
    assert "\none\\x1b[2J\ntwo\n" in output
    task = json.loads(mails(ini, "--json").output)["mails"][1]["task"]
    shown = json.loads(mails(ini, task, "--json").output)
    assert (shown["text"], shown["html"], shown["recipients"]) == (
        "one\x1b[2J\ntwo\n",
        "<p>\n",
        ["ada@x.org", "eve@x.org"],
    )


@pytest.mark.parametrize("which", ["3", "0", "../dtqs", "x"])
def test_an_email_that_does_not_exist_is_reported(ini: Path, which: str) -> None:
    result = mails(ini, which)
    assert (result.exit_code, "the folder has 2, and 1 is the newest" in result.output) == (2, True)


def test_a_configuration_that_sends_emails_has_none_to_show(tmp_path: Path) -> None:
    (tmp_path / "dtqs.ini").write_text("[processor:email]\nhost = mx.example.org\n", encoding="utf-8")
    result = mails(tmp_path / "dtqs.ini")
    assert (result.exit_code, "e-mails are sent through mx.example.org:587" in result.output) == (2, True)
