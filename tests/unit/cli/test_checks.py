"""The doctor's texts for conditions that a test cannot create: servers of other versions, and folders elsewhere."""

from pathlib import Path

import pytest

from dtqs.cli.checks.postgresql import _server
from dtqs.cli.checks.servers import start_command
from dtqs.store.checkup import ServerFacts


@pytest.mark.parametrize(("version", "state"), [(13, "failed"), (14, "ok"), (18, "ok")])
def test_a_server_that_is_too_old_is_a_failure(version: int, state: str) -> None:
    check = _server(ServerFacts(f"{version}.2", version, 0.0, {}, 1))
    assert (check.state, "14 or later" in check.advice) == (state, state == "failed")


def test_a_sandbox_in_another_folder_is_started_by_naming_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert start_command(tmp_path / "var") == "dtqs up"
    assert start_command(tmp_path / "other") == "dtqs up --var other"
