"""Hints for a newcomer: a mistyped command, a refused pair, a port in use, an unknown task type."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dtqs.api.server.listening import PortTaken, refuse_taken_port
from dtqs.cli import main
from dtqs.cli.hints import hinted
from dtqs.cli.payload import LocalUpload
from dtqs.client import ApiRefusal
from dtqs.errors import ConfigError


def refusal(*faults: tuple[str, str]) -> ApiRefusal:
    problem: dict[str, Any] = {
        "title": "Unprocessable",
        "errors": [{"field": field, "message": message} for field, message in faults],
    }
    return ApiRefusal("refused", 422, problem)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["submti", "echo"], "submit"), (["key", "creat"], "create"), (["config", "shwo"], "show")],
)
def test_a_mistyped_command_is_corrected(arguments: list[str], meant: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, f"Did you mean `{meant}`?" in result.output) == (2, True), result.output


def test_a_command_that_resembles_no_other_is_only_refused() -> None:
    result = CliRunner().invoke(main, ["xyzzy"])
    assert (result.exit_code, "mean" in result.output) == (2, False)


def test_a_pair_for_a_list_is_shown_in_its_correct_form() -> None:
    error = hinted(
        refusal(("payload.to", 'must be a list, not "ada@example.org"')), ["to=ada@example.org", "subject=x"]
    )
    assert str(error).splitlines() == ["refused", "  write to.0=ada@example.org"]
    assert (error.status, error.problem["title"]) == (422, "Unprocessable")


def test_a_local_file_is_shown_with_its_at_sign(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.touch()
    error = hinted(
        refusal(("payload.outputs[0].watermark.source", "no source")), [f"outputs.0.watermark.source={path}"]
    )
    assert str(error).splitlines()[1:] == [f"  to upload a local file, write outputs.0.watermark.source=@{path}"]


@pytest.mark.parametrize(
    "pair", ["source=nosuch.jpg", "source=@there.jpg", "other=x", "source=" + "a" * 5000, "source=a\0b", "source"]
)
def test_a_value_that_names_no_local_file_gets_no_hint(pair: str) -> None:
    assert str(hinted(refusal(("payload.source", "no source")), [pair])) == "refused"


def test_a_folder_is_no_upload(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["submit", "image", f"source=@{tmp_path}"], env={"DTQS_URL": "http://127.0.0.1:9", "DTQS_API_KEY": "k"}
    )
    assert (result.exit_code, f"@{tmp_path} is a folder; give a file" in result.output) == (2, True)
    assert LocalUpload(tmp_path)


def test_a_port_in_use_is_reported_at_once_and_a_free_one_stays_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is in use by another program"):
            refuse_taken_port("127.0.0.1", port)
    refuse_taken_port("127.0.0.1", port)
    refuse_taken_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "node-1..example.org"])
def test_a_host_of_another_machine_is_a_wrong_setting(host: str) -> None:
    with pytest.raises(ConfigError, match=r"\[api\] host = "):
        refuse_taken_port(host, 8080)


def test_a_refusal_is_printed_as_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal(("payload.to", "must be given"))

    monkeypatch.setattr("dtqs.client.Client.submit", refuse)
    environment = {"DTQS_URL": "http://127.0.0.1:9", "DTQS_API_KEY": "k"}
    result = CliRunner().invoke(main, ["submit", "echo", "--json"], env=environment)
    assert json.loads(result.stdout)["errors"] == [{"field": "payload.to", "message": "must be given"}]
    assert (result.exit_code, result.stderr) == (2, "refused\n")
    assert CliRunner().invoke(main, ["submit", "echo"], env=environment).stdout == ""
