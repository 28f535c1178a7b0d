"""The text of tasks, results and logs, on a terminal and elsewhere."""

import sys
from pathlib import Path
from typing import Any

import pytest

from dtqs.amounts import size
from dtqs.cli.endpoint import Endpoint
from dtqs.cli.output import print_table
from dtqs.cli.show import attempt, location, log_line, progress_text, show_result, show_task, show_tasks
from dtqs.config import load
from dtqs.files import FileSpace

FILE_ID = "01a20e65-6296-704d-a8d1-e4b70c3f5e56"
AT = "2026-11-24T16:30:55.123456Z"


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    ini = tmp_path / "dtqs.ini"
    ini.write_text(f"[files]\ndirectory = {tmp_path}\n", encoding="utf-8")
    return Endpoint("http://127.0.0.1:1", None, "a test", ini, is_here=True)


SIZES = [
    (0, "0 B"),
    (1023, "1023 B"),
    (1024, "1.0 KiB"),
    (1536 << 10, "1.5 MiB"),
    (5 << 40, "5.0 TiB"),
    (5 << 50, "5120.0 TiB"),
]


@pytest.mark.parametrize(("count", "words"), SIZES)
def test_sizes_are_written_for_people(count: int, words: str) -> None:
    assert size(count) == words


def test_a_file_on_this_machine_is_shown_by_its_path_another_by_its_url(endpoint: Endpoint, tmp_path: Path) -> None:
    assert location(f"upload:{FILE_ID}", endpoint) == f"http://127.0.0.1:1/files/{FILE_ID}"
    path = FileSpace(load(endpoint.config_path).files).path_of(FILE_ID)
    path.parent.mkdir(parents=True)
    path.touch()
    assert location(f"upload:{FILE_ID}", endpoint) == str(path)
    assert location("upload:../../etc/passwd", endpoint) == "http://127.0.0.1:1/files/../../etc/passwd"
    assert location("s3://bucket/x", endpoint) == "s3://bucket/x"


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            {"event": "progress", "attempt": 2, "level": "info", "data": {"fraction": 0.5, "message": "half"}},
            "info    progress    attempt 2 50% half",
        ),
        (
            {"event": "log", "attempt": 1, "level": "warning", "message": "odd\x1b[1m", "data": {"n": 1}},
            'warning log         attempt 1 odd\\x1b[1m {"n":1}',
        ),
        (
            {"event": "failed", "level": "error", "message": None, "data": {"type": "E", "message": "no"}},
            "error   failed      E: no",
        ),
        (
            {"event": "failed", "level": "error", "message": "no", "data": {"type": "E", "message": "no"}},
            "error   failed      no",
        ),
        ({"event": "completed", "level": "info", "message": None, "data": None}, "info    completed"),
    ],
)
def test_a_log_row_is_one_line(row: dict[str, Any], line: str) -> None:
    assert log_line({"at": AT, **row}) == f"2026-11-24T16:30:55Z {line}"


def test_a_secret_in_a_result_or_a_log_is_not_shown(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    show_task(
        {
            "task_id": "t",
            "status": "completed",
            "payload": {},
            "result": {"url": "https://a:hunter2@h/x", "session": {"access_token": "hunter2"}},
        },
        endpoint,
    )
    assert "hunter2" not in capsys.readouterr().out
    row = {
        "at": AT,
        "event": "log",
        "attempt": 1,
        "level": "info",
        "message": "at redis://:hunter2@h",
        "data": {"password2": "hunter2"},
    }
    assert log_line(row).endswith('attempt 1 at redis://:•••@h {"password2":"•••"}')


def test_a_secret_in_a_payload_is_not_shown(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    record = {
        "task_id": "t",
        "status": "failed",
        "payload": {"password": "hunter2", "to": ["ada"]},
        "error": {"type": "E", "message": "amqp://a:hunter2@h"},
    }
    show_task(record, endpoint)
    printed = capsys.readouterr()
    assert "hunter2" not in printed.out + printed.err
    assert "ada" in printed.out


def test_progress_and_attempts_are_written_for_people() -> None:
    assert progress_text({"fraction": 0.333, "message": "a\nb"}) == "33% a\\nb"
    assert (progress_text(None), progress_text({"fraction": None})) == ("", "")
    assert attempt({"attempt": 1, "max_retries": 5}) == "1 of 6"


def test_an_error_goes_to_standard_error_and_a_result_to_standard_output(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    show_result({"status": "failed", "result": None, "error": {"type": "E", "message": "no"}}, endpoint)
    show_result(
        {
            "status": "completed",
            "result": {"outputs": "odd"},
            "error": {"type": "E", "message": "an earlier attempt's"},
        },
        endpoint,
    )
    show_result(
        {"status": "completed", "result": {"outputs": [{"uri": "upload:x", "name": "a"}]}, "error": None}, endpoint
    )
    out, err = capsys.readouterr()
    assert err == "E: no\n"
    assert out.startswith('{\n  "outputs": "odd"\n}\nname')
    assert "http://127.0.0.1:1/files/x" in out


def test_columns_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "bb"), [("1\n2", None), ("x", [1])])
    assert capsys.readouterr().out == "a     bb\n1\\n2  -\nx     [1]\n"


def test_a_table_on_a_terminal_never_cuts_ids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    print_table(("where",), [("/" + "x" * 60,)], fold=False)
    print_table(("where",), [("[bold]" + "y" * 60,)])
    out = capsys.readouterr().out
    assert "/" + "x" * 60 in out
    assert "[bold]" in out
    assert "y" * 60 not in out


def test_the_error_of_a_shown_task_goes_to_standard_output(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    show_task(
        {"task_id": "t", "status": "failed", "payload": {}, "error": {"type": "E", "message": "no such address"}},
        endpoint,
    )
    printed = capsys.readouterr()
    assert "E: no such address" in printed.out
    assert printed.err == ""


def test_a_listing_of_failed_tasks_gives_the_reason_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    failed = [
        {"task_id": "t1", "status": "failed", "error": {"type": "E", "message": "no such\naddress redis://:hunter2@h"}}
    ]
    show_tasks(failed)
    assert capsys.readouterr().out.rstrip().endswith("no such\\naddress redis://:•••@h")
    show_tasks([*failed, {"task_id": "t2", "status": "completed"}])
    assert "reason" not in capsys.readouterr().out
