"""The secret that signs: from a file that is named, or from one that the first API of a host makes."""

import stat
from pathlib import Path

import pytest

from dtqs.api.secret import FILE_NAME, api_secret, fingerprint
from dtqs.config import Config, load
from dtqs.errors import ConfigError


def config(folder: Path, **environ: str) -> Config:
    return load(None, {"DTQS_SUPERVISOR_STATE_DIR": str(folder), **environ})


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first = api_secret(config(tmp_path / "state"))
    assert api_secret(config(tmp_path / "state")) == first
    assert api_secret(config(tmp_path / "other")) != first
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]


def test_hosts_with_the_same_file_have_the_same(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 64 + "\n")
    keys = {api_secret(config(tmp_path / host, DTQS_API_SECRET_FILE=str(tmp_path / "secret"))) for host in "ab"}
    assert len(keys) == 1
    assert not (tmp_path / "a").exists()
    (key,) = keys
    assert key.hex() not in fingerprint(key)


def test_where_it_cannot_be_made_what_to_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"secret_file is not set, and .*api-secret cannot be made or read: .*openssl rand"):
        api_secret(config(tmp_path / "file"))
    with pytest.raises(ConfigError, match="secret_file"):
        config(tmp_path, DTQS_API_SECRET_FILE=str(tmp_path / "missing"))


def test_a_short_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("short\n")
    with pytest.raises(ConfigError, match="shorter than 32"):
        api_secret(config(tmp_path))


def test_without_auth_nothing_is_made(tmp_path: Path) -> None:
    api_secret(config(tmp_path / "state", DTQS_API_AUTH="off"))
    assert not (tmp_path / "state").exists()
