"""A node's identity outlives its supervisor, and one supervisor at a time holds it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dtqs.supervisor import machine_boot
from dtqs.supervisor.node import MOST_NODES, NodeLock, StateFolderUnusable
from dtqs.uuid7 import is_uuid
from tests.support.source import ROOT


def test_the_identity_survives_restarts(tmp_path: Path) -> None:
    with NodeLock(tmp_path) as lock:
        node_id = lock.node_id
        assert lock.acquire() == node_id, "a second call returns the same identity"
    lock.release()
    assert is_uuid(node_id)
    assert NodeLock(tmp_path).acquire() == node_id


def test_a_second_supervisor_gets_another_identity_and_keeps_it(tmp_path: Path) -> None:
    with NodeLock(tmp_path) as first:
        with NodeLock(tmp_path) as second:
            other = second.node_id
            assert other != first.node_id
        assert NodeLock(tmp_path).acquire() == other


def test_a_torn_identity_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "node-0").mkdir()
    (tmp_path / "node-0" / "id").write_text("0192f3aa-77")
    with NodeLock(tmp_path) as lock:
        assert is_uuid(lock.node_id)
    assert NodeLock(tmp_path).acquire() == lock.node_id


def test_the_folder_of_a_node_is_closed_to_other_users(tmp_path: Path) -> None:
    node = tmp_path / "node-0"
    node.mkdir()
    node.chmod(0o777)
    with NodeLock(tmp_path):
        assert node.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_root_closes_the_folder_that_another_user_has_left_in_a_volume(tmp_path: Path) -> None:
    node = tmp_path / "node-0"
    node.mkdir()
    os.chown(node, 10001, 10001)
    node.chmod(0o2770)  # Kubernetes opens a volume to the group of the pod
    with NodeLock(tmp_path):
        assert node.stat().st_mode & 0o777 == 0o700


def test_a_node_in_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "node-0").symlink_to("elsewhere")
    with pytest.raises(StateFolderUnusable, match=r"state_dir = .*: node-0 is a link; delete it") as caught:
        NodeLock(tmp_path).acquire()
    assert caught.value.exit_status == os.EX_CONFIG


def test_the_last_folder_of_the_path_is_created(tmp_path: Path) -> None:
    assert is_uuid(NodeLock(tmp_path / "state").acquire())


def _missing_parent(folder: Path) -> Path:
    return folder / "no" / "state"


def _a_file(folder: Path) -> Path:
    (folder / "state").write_text("")
    return folder / "state"


def _below_a_file(folder: Path) -> Path:
    return _a_file(folder) / "state"


@pytest.mark.parametrize("place", [_missing_parent, _a_file, _below_a_file])
def test_a_path_that_is_no_folder_is_a_wrong_setting(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    with pytest.raises(StateFolderUnusable, match="state_dir") as caught:
        NodeLock(place(tmp_path)).acquire()
    assert caught.value.exit_status == os.EX_CONFIG


def test_a_folder_that_cannot_be_written_is_reported() -> None:
    # not even root can make a folder there
    with pytest.raises(StateFolderUnusable, match="state_dir") as caught:
        NodeLock(Path("/proc/self")).acquire()
    assert caught.value.exit_status in (os.EX_CANTCREAT, os.EX_CONFIG)


def test_the_number_of_nodes_on_one_folder_is_limited(tmp_path: Path) -> None:
    held = [NodeLock(tmp_path) for _ in range(MOST_NODES)]
    assert len({lock.acquire() for lock in held}) == MOST_NODES
    with pytest.raises(StateFolderUnusable, match="64 running supervisors already use it"):
        NodeLock(tmp_path).acquire()
    for lock in held:
        lock.release()


def test_a_copy_of_the_state_folder_becomes_another_node_and_reports_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with NodeLock(tmp_path / "original") as lock:
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
        with NodeLock(tmp_path / "copy") as copied:
            assert copied.node_id != lock.node_id
        assert "this state folder is a copy" in caplog.text
    assert NodeLock(tmp_path / "copy").acquire() == copied.node_id
    assert NodeLock(tmp_path / "original").acquire() == lock.node_id


def test_the_same_folder_under_another_kernel_is_another_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with NodeLock(tmp_path / "state") as before:
        pass
    (tmp_path / "boot_id").write_text("another run of a kernel\n")
    monkeypatch.setattr("dtqs.supervisor.machine_boot._BOOT_ID", tmp_path / "boot_id")
    with NodeLock(tmp_path / "state") as after:
        assert is_uuid(after.node_id)
        assert after.node_id != before.node_id
    assert (tmp_path / "state" / "node-0" / "id").read_text().startswith(after.node_id)


def test_no_folder_matches_while_the_boot_of_the_machine_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dtqs.supervisor.machine_boot._BOOT_ID", tmp_path / "hidden")
    machine_boot._warn.cache_clear()
    taken = []
    for _ in range(2):
        with NodeLock(tmp_path / "state") as lock:
            assert lock.acquire() == lock.node_id, "a running supervisor keeps its identity"
            taken.append(lock.node_id)
    assert len(set(taken)) == 2
    assert caplog.text.count("boot of this machine cannot be identified") == 1


def test_the_unit_of_the_workers_leaves_the_boot_id_readable() -> None:
    """systemd itself shows it in tests/acceptance/test_systemd_boot.py."""
    unit = (ROOT / "systemd/dtqs-worker.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/dtqs/bin/dtqs supervisor\n" in unit
    assert "\nProcSubset=" not in unit
