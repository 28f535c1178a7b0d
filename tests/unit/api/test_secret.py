"""The signing secret: read from the configured file, or made by the first API process of a host."""

import os
import stat
from pathlib import Path

import pytest

from dtqs.api.access.secret import FILE_NAME, api_secret, file_fault, fingerprint
from dtqs.cli.checks.machine import signing
from dtqs.config import Config, load
from dtqs.errors import ConfigError


def config(folder: Path, **environ: str) -> Config:
    return load(None, {"DTQS_SUPERVISOR_STATE_DIR": str(folder), **environ})


def test_the_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = api_secret(config(tmp_path / "state"))
    assert api_secret(config(tmp_path / "state")) == first
    assert api_secret(config(tmp_path / "other")) != first
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]


def test_hosts_with_the_same_file_have_the_same_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 64 + "\n")
    keys = {api_secret(config(tmp_path / host, DTQS_API_SECRET_FILE=str(tmp_path / "secret"))) for host in "ab"}
    assert len(keys) == 1
    assert not (tmp_path / "a").exists()
    (key,) = keys
    assert key.hex() not in fingerprint(key)


def test_a_secret_that_cannot_be_made_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"secret_file is not set, and .*api-secret cannot be made or read: .*openssl rand"
    ):
        api_secret(config(tmp_path / "file"))
    with pytest.raises(ConfigError, match="secret_file"):
        config(tmp_path, DTQS_API_SECRET_FILE=str(tmp_path / "missing"))


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("short\n")
    with pytest.raises(ConfigError, match="shorter than 32"):
        api_secret(config(tmp_path))


def test_without_auth_no_secret_is_made(tmp_path: Path) -> None:
    api_secret(config(tmp_path / "state", DTQS_API_AUTH="off"))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        (0o600, "ok"),
        (0o400, "ok"),
        (0o640, "warning"),
        (0o604, "warning"),
        (0o644, "warning"),
        (0o620, "failed"),
        (0o602, "failed"),
        (0o666, "failed"),
    ],
)
def test_a_file_that_others_may_write_is_refused_and_one_that_they_may_read_is_reported(
    tmp_path: Path, mode: int, state: str
) -> None:
    made = api_secret(config(tmp_path))
    path = tmp_path / FILE_NAME
    if os.geteuid() == 0:
        os.chown(tmp_path, 1234, -1)
        os.chown(path, 1234, -1)  # the group may read a file of root
    path.chmod(mode)
    assert [check.state for check in signing(config(tmp_path))] == ([] if state == "ok" else [state])
    if os.geteuid() == 0:
        os.chown(path, 0, -1)
    if state == "failed":
        with pytest.raises(ConfigError, match=f"users other than its owner may write it .mode 0{mode:o}.; .*chmod 600"):
            api_secret(config(tmp_path))
    else:
        assert api_secret(config(tmp_path)) == made


@pytest.mark.parametrize("target", ["/etc/os-release", "/nowhere/secret"])
def test_a_link_is_refused_since_everybody_may_know_its_target(tmp_path: Path, target: str) -> None:
    (tmp_path / FILE_NAME).symlink_to(target)
    with pytest.raises(ConfigError, match=r"api-secret: it is a link; delete it .* or set .* secret_file"):
        api_secret(config(tmp_path))
    assert [check.state for check in signing(config(tmp_path))] == ["failed"]
    assert not Path("/nowhere").exists()


def test_a_pipe_is_refused_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(ConfigError, match="api-secret: it is no regular file"):
        api_secret(config(tmp_path))


def test_a_secret_file_may_be_a_link_as_kubernetes_makes_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("s" * 64)
    (tmp_path / "secret").symlink_to("data")
    assert api_secret(config(tmp_path / "a", DTQS_API_SECRET_FILE=str(tmp_path / "secret")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    api_secret(config(tmp_path))
    path = tmp_path / FILE_NAME
    os.chown(path, 1234, -1)
    with pytest.raises(ConfigError, match="belongs to user 1234"):
        api_secret(config(tmp_path))
    assert [check.state for check in signing(config(tmp_path))] == ["failed"]
    os.chown(tmp_path, 1234, -1)
    assert file_fault(config(tmp_path)) is None, "root checks for the user of the service"


def test_root_may_let_the_group_of_its_service_read_the_file(tmp_path: Path) -> None:
    made = api_secret(config(tmp_path))
    (tmp_path / FILE_NAME).chmod(0o640)
    if os.geteuid() == 0:
        assert file_fault(config(tmp_path)) is None
    assert api_secret(config(tmp_path)) == made


def test_an_unused_secret_is_not_checked(tmp_path: Path) -> None:
    api_secret(config(tmp_path))
    (tmp_path / FILE_NAME).chmod(0o666)
    assert (
        file_fault(config(tmp_path, DTQS_API_AUTH="off"))
        is file_fault(config(tmp_path, DTQS_API_SECRET="s" * 40))
        is None
    )
    assert file_fault(config(tmp_path / "nowhere")) is None
