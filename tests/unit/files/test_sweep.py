"""The sweep deletes old files without a row, in bounded steps. Files with a row and young files stay."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.uuid7 import uuid7

ALL = 10**6
HOUR = 3600.0


@pytest.fixture
def space(tmp_path: Path) -> FileSpace:
    return FileSpace(FilesSection(directory=tmp_path))


def _age(path: Path, seconds: float = 2 * HOUR) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at))


def _stored(space: FileSpace, old: bool) -> str:
    file_id, _, _ = space.new_upload().commit()
    if old:
        _age(space.path_of(file_id))
    return file_id


def test_only_old_files_without_a_row_are_deleted(space: FileSpace) -> None:
    known, unknown, young = _stored(space, old=True), _stored(space, old=True), _stored(space, old=False)
    asked: list[str] = []

    def keep(ids: Sequence[str]) -> set[str]:
        asked.extend(ids)
        return {known}

    assert space.sweep(keep, HOUR, ALL) == 1
    assert [space.path_of(i).exists() for i in (known, unknown, young)] == [True, False, True]
    assert sorted(asked) == sorted([known, unknown])


def test_each_call_continues_where_the_last_one_ended(space: FileSpace) -> None:
    ids = [_stored(space, old=True) for _ in range(5)]
    calls = 0
    while any(space.path_of(i).exists() for i in ids):
        assert space.sweep(lambda ids: (), HOUR, 4) <= 4
        calls += 1
        assert calls <= 5
    assert calls > 1


def test_a_finished_round_begins_again(space: FileSpace) -> None:
    for _ in range(3):
        _stored(space, old=True)
        assert space.sweep(lambda ids: (), HOUR, ALL) == 1


@pytest.mark.parametrize(
    "name",
    [
        "00/00/README",
        f"00/01/{uuid7()[:-4]}0002",
        "tmp/README",
        "tmp/build/report",
        f"tmp/{uuid7()}",
        f"tmp/{uuid4()}/report",
        f"tmp/{uuid7()}.zip",
        "tmp/film.part",
    ],
    ids=["text", "another shard", "loose text", "folder", "id", "folder of a UUIDv4", "archive", "part"],
)
def test_files_of_other_programs_stay(space: FileSpace, tmp_path: Path, name: str) -> None:
    foreign = tmp_path / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("x")
    for path in (foreign, foreign.parent):
        _age(path)
    assert space.sweep(lambda ids: (), HOUR, ALL) == 0
    assert space.owners() == []
    assert foreign.exists()


def test_a_file_half_written_by_a_dead_process_is_deleted_and_one_being_written_stays(
    space: FileSpace, tmp_path: Path
) -> None:
    left, now = space.new_upload(), space.new_upload()
    _age(tmp_path / "tmp" / f"{left.file_id}.part")
    assert space.sweep(lambda ids: (), HOUR, ALL) == 1
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == [f"{now.file_id}.part"]
    left.abort()
    now.abort()


def test_a_temporary_folder_stays_while_a_file_in_it_is_written(space: FileSpace) -> None:
    with space.temporary_dir(uuid7()) as used, space.temporary_dir(uuid7()) as left:
        for folder in (used, left):
            (Path(folder) / "film").write_text("x")
        _age(Path(left) / "film")
        _age(Path(left))
        _age(Path(used))
        assert space.sweep(lambda ids: (), HOUR, ALL) == 1
        assert (Path(used).exists(), Path(left).exists()) == (True, False)
