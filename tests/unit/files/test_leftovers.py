"""Leftovers of a dead worker: its temporary files, and files stored for tasks that never finished, are deleted."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.uuid7 import uuid7

DAY = 86400.0
WORKER, OTHER = uuid7(), uuid7()


@pytest.fixture
def spaces(tmp_path: Path) -> tuple[FileSpace, FileSpace, FileSpace]:
    """Return the folder as two workers see it, and as a keeper does."""
    section = FilesSection(directory=tmp_path)
    return FileSpace(section, WORKER), FileSpace(section, OTHER), FileSpace(section)


def _store(space: FileSpace) -> str:
    return space.add_output("o", lambda file: file.write(b"x"), "text/plain").file_id


def _none(_: Sequence[str]) -> set[str]:
    return set()


def _there(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.rglob("*") if path.is_file() and path.name != "stored"}


def test_only_the_leftovers_of_one_worker_are_deleted(spaces: tuple[FileSpace, ...], tmp_path: Path) -> None:
    worker, other, keeper = spaces
    with keeper.new_upload() as upload, other.new_upload() as half, other.temporary_dir("task") as folder:
        (Path(folder) / "film").write_text("x")
        with worker.new_upload(), worker.temporary_dir("task") as left:
            (Path(left) / "film").write_text("x")
            first, second, whole = _store(worker), _store(worker), _store(other)
            assert keeper.owners() == sorted([WORKER, OTHER])
            asked: list[str] = []

            def keep(ids: Sequence[str]) -> set[str]:
                asked.extend(ids)
                return {second}

            assert keeper.clear(WORKER, keep) == 3
        assert asked == [first, second]
        assert _there(tmp_path) == {second, whole, "film", f"{upload.file_id}.part", f"{half.file_id}.part"}
        assert keeper.owners() == [OTHER]
        assert keeper.clear(WORKER, _none) == 0


def test_a_file_stored_before_the_last_finish_is_no_leftover(spaces: tuple[FileSpace, ...], tmp_path: Path) -> None:
    worker, _, keeper = spaces
    delivered = _store(worker)
    worker.settled()
    lost = {_store(worker), _store(worker)}
    assert keeper.clear(WORKER, _none) == len(lost)
    assert _there(tmp_path) == {delivered}


def test_only_files_that_existed_count_as_removed(spaces: tuple[FileSpace, ...]) -> None:
    worker, _, keeper = spaces
    worker.remove(_store(worker))
    assert keeper.clear(WORKER, _none) == 0
    assert keeper.owners() == []


def test_a_note_that_was_cut_off_names_its_complete_ids(spaces: tuple[FileSpace, ...], tmp_path: Path) -> None:
    worker, _, keeper = spaces
    left = _store(worker)
    with (tmp_path / "tmp" / WORKER / "stored").open("a") as note:
        note.write(f"../../{uuid7()}\n{uuid7()[:20]}")
    assert keeper.clear(WORKER, lambda ids: set() if ids == [left] else set(ids)) == 1
    assert _there(tmp_path) == set()


def test_the_folder_of_an_unknown_worker_stays_until_it_is_old(spaces: tuple[FileSpace, ...], tmp_path: Path) -> None:
    worker, _, keeper = spaces
    _store(worker)
    with worker.temporary_dir("task"):
        assert keeper.clear(WORKER, _none, DAY) == 0
        at = time.time() - 2 * DAY
        folder = tmp_path / "tmp" / WORKER
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (at, at))
        assert keeper.clear(WORKER, _none, 3 * DAY) == 0
        assert keeper.clear(WORKER, _none, DAY) == 2
    assert keeper.owners() == []


def test_the_folder_of_a_living_worker_is_never_too_old(spaces: tuple[FileSpace, ...], tmp_path: Path) -> None:
    worker, _, keeper = spaces
    with worker.new_upload() as half:
        at = time.time() - 100 * DAY
        for path in (tmp_path / "tmp" / WORKER).rglob("*"):
            os.utime(path, (at, at))
        os.utime(tmp_path / "tmp" / WORKER, (at, at))
        assert keeper.sweep(_none, DAY, 1000) == 0
        assert half.temporary.exists()
