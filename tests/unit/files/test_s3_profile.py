"""A profile of AWS that cannot be used is a mistake in the configuration, and ends the start."""

from pathlib import Path

import pytest

from dtqs.errors import ConfigError
from dtqs.files.s3_credentials import CredentialChain


def test_a_profile_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(ConfigError, match="absent"):
        CredentialChain("eu-central-1")


def test_a_file_of_profiles_that_is_broken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "config"
    broken.write_text("[profile x\nregion", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with pytest.raises(ConfigError, match=str(broken)):
        CredentialChain("eu-central-1")
