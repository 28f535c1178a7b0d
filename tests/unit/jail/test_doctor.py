"""The doctor's texts about the jail, for kernels that this machine does not have."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dtqs.cli.checks import jail as checks
from dtqs.config import Config, load
from dtqs.jail import Offer, exposed

WHOLE = Offer(7, True, 1 << 30, {})


def config(tmp_path: Path, mode: str, folder: Path | None = None) -> Config:
    path = (folder or tmp_path) / "dtqs.ini"
    path.write_text(
        f"[files]\njail = {mode}\ndirectory = {tmp_path}/files\n[supervisor]\nstate_dir = {tmp_path}/state\n"
    )
    return load(path, {})


def findings(monkeypatch: pytest.MonkeyPatch, offer: Offer, config: Config) -> list[tuple[str, str, str, str]]:
    monkeypatch.setattr(checks, "offer", lambda: offer)
    return [(check.part, check.state, check.found, check.advice) for check in checks.jail(config)]


def test_a_complete_jail_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(monkeypatch, WHOLE, config(tmp_path, "best")) == [
        ("jail", "ok", "Landlock (ABI 7), seccomp, a network namespace", "")
    ]
    without = replace(WHOLE, namespaces=0, why_not={"namespace": "Operation not permitted"})
    [(_, state, found, _)] = findings(monkeypatch, without, config(tmp_path, "required"))
    assert state == "ok"
    assert "no network namespace (Operation not permitted), but seccomp refuses sockets too" in found


@pytest.mark.parametrize(
    ("mode", "state", "words"),
    [
        ("best", "warning", "could read files of the worker's user"),
        ("required", "failed", "this node refuses image and video tasks"),
    ],
)
def test_a_missing_part_is_reported_with_its_consequence(
    mode: str, state: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = replace(
        WHOLE, landlock_abi=0, why_not={"landlock": "Function not implemented: it needs Linux 5.13 or later"}
    )
    [(part, found_state, found, advice)] = findings(monkeypatch, offer, config(tmp_path, mode))
    assert (part, found_state, found) == (
        "jail: landlock",
        state,
        "Function not implemented: it needs Linux 5.13 or later",
    )
    assert words in advice


def test_secrets_in_a_folder_of_programs_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(os.path.abspath(checks.__file__)).parents[2]
    assert exposed(package / "dtqs.ini")
    assert not exposed(package.parent / "dtqs.ini")
    monkeypatch.setattr(checks, "exposed", lambda path: path.name in ("dtqs.ini", "dsn"))
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://localhost/dtqs")
    (tmp_path / "dtqs.ini").write_text(f"[postgresql]\ndsn_file = {secret}\n")
    *_, (part, state, found, advice) = findings(monkeypatch, WHOLE, load(tmp_path / "dtqs.ini", {}))
    assert (part, state) == ("jail", "warning")
    assert found.startswith(
        f"this configuration ({tmp_path}/dtqs.ini), [postgresql] dsn_file ({secret}) is in a folder "
        "of programs and libraries"
    )
    assert "/etc/dtqs" in advice
