"""The keeper's chore for files that workers left, with rows of dead, living and unknown workers."""

import os
import time
from pathlib import Path

import pytest

from dtqs.config import FilesSection, load
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace
from dtqs.keeper.prune import Prune
from dtqs.uuid7 import uuid7
from tests.support.fix_store import DIED, World
from tests.support.helpers import free_port

DAY = 86400.0


def _dead(world: World) -> str:
    worker = world.worker()
    world.store.leases.reclaim(worker, DIED)
    return worker


def _leave(directory: Path, owner: str, stored: str = "") -> Path:
    """Make a folder as a killed worker leaves it."""
    folder = directory / "tmp" / owner
    (folder / "task.abc").mkdir(parents=True)
    (folder / "task.abc" / "film").write_text("x")
    if stored:
        (folder / "stored").write_text(f"{stored}\n")
    return folder


def test_only_the_leftovers_of_workers_marked_dead_are_removed(world: World, tmp_path: Path) -> None:
    prune = Prune(world.store, FileSpace(FilesSection(directory=tmp_path)), load(None, {}))
    dead, living, unknown, unknown_and_old = (
        _leave(tmp_path, owner) for owner in (_dead(world), world.worker(), uuid7(), uuid7())
    )
    at = time.time() - 9 * DAY
    for folder in (living, unknown_and_old):
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (at, at))
    assert not prune.leftovers()
    assert [folder.exists() for folder in (dead, living, unknown, unknown_and_old)] == [False, True, True, False]


def test_a_file_that_cannot_be_removed_now_does_not_stop_the_chore(world: World, tmp_path: Path) -> None:
    away = FilesSection(
        directory=tmp_path,
        store="s3",
        s3_bucket="dtqs",
        s3_endpoint=f"http://127.0.0.1:{free_port()}",
        s3_access_key="k",
        s3_secret_key="s",
    )
    prune = Prune(world.store, FileSpace(away), load(None, {}))
    first, second = sorted((_dead(world), _dead(world)))
    with_stored, without = _leave(tmp_path, first, stored=uuid7()), _leave(tmp_path, second)
    with pytest.raises(FilesUnavailable, match="could not be reached"):
        prune.leftovers()
    assert not without.exists()
    assert [path.name for path in with_stored.iterdir()] == ["stored"]
