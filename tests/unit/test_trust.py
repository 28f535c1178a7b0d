"""A file or folder is trusted unless another user may have written it."""

import os
import subprocess
from pathlib import Path

import pytest

from dtqs.trust import may_name, why_distrusted, why_foreign, why_not_own

STRANGER = 4242


def give_away(path: Path) -> None:
    """Let the file belong to a user who is neither root nor the one that the test stands for."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize(("mode", "why"), [(0o755, None), (0o777, "mode 0777"), (0o1777, "mode 1777")])
def test_a_folder_that_others_may_write_is_not_trusted(tmp_path: Path, mode: int, why: str | None) -> None:
    tmp_path.chmod(mode)
    for said in (why_foreign(tmp_path), why_not_own(tmp_path)):
        assert said == (why and f"can be written by others ({why})")


def test_a_folder_that_another_group_may_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)
    monkeypatch.setattr("grp.getgrgid", lambda _: (_ for _ in ()).throw(KeyError))
    assert why_foreign(tmp_path) == "can be written by others (mode 0770)"


def test_a_link_to_a_node_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "node-0").mkdir()
    (tmp_path / "node-1").symlink_to("node-0")
    assert why_foreign(tmp_path / "node-1") == "is a link"


def test_a_folder_of_another_user_is_trusted_by_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_away(tmp_path)
    owner = tmp_path.stat().st_uid
    for me, said in ((owner, None), (0, None), (owner + 1, f"belongs to another user (uid {owner})")):
        monkeypatch.setattr(os, "geteuid", lambda me=me: me)
        assert why_foreign(tmp_path) == said
        assert why_not_own(tmp_path) == (None if me == owner else f"belongs to another user (uid {owner})")


def test_an_absolute_path_is_always_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dtqs.ini"
    file.touch()
    file.chmod(0o666)
    monkeypatch.chdir(tmp_path)
    assert why_distrusted(file) is None
    assert why_distrusted("dtqs.ini") == "dtqs.ini can be written by others (mode 0666)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of other users")
def test_a_folder_names_no_process_of_somebody_else(tmp_path: Path) -> None:
    give_away(tmp_path)
    with subprocess.Popen(["sleep", "60"], user=STRANGER + 1) as other:
        assert not may_name(tmp_path, other.pid)
        os.chown(tmp_path, STRANGER + 1, -1)
        assert may_name(tmp_path, other.pid)
        other.kill()
    assert may_name(tmp_path, os.getpid())
