"""Unfinished uploads of killed API processes, in a folder without a keeper."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.files.unfinished import clear


@pytest.fixture
def section(tmp_path: Path) -> FilesSection:
    return FilesSection(directory=tmp_path, store="s3", s3_bucket="bucket")


def test_only_the_uploads_of_dead_processes_are_deleted(section: FilesSection, tmp_path: Path) -> None:
    program = (
        "import os, sys; from dtqs.config import FilesSection; from dtqs.files import FileSpace;"
        "section = FilesSection(directory=sys.argv[1], store='s3', s3_bucket='bucket');"
        "upload = FileSpace(section).new_upload(); upload.write(b'x' * 100); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=False)
    assert killed.returncode == -9
    (left,) = (tmp_path / "tmp").glob("*.part")
    with FileSpace(section).new_upload() as living:
        (tmp_path / "tmp" / "film.part").touch()
        assert clear(section) == 1
        assert {path.name for path in (tmp_path / "tmp").iterdir()} == {living.temporary.name, "film.part"}
    assert not left.exists()
    assert clear(section) == 0


def test_an_upload_that_is_taken_before_its_lock_is_made_anew(
    section: FilesSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = fcntl.flock, list[Path]()

    def late(descriptor: int, operation: int) -> None:
        if not taken:
            taken.extend((tmp_path / "tmp").glob("*.part"))
            taken[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with FileSpace(section).new_upload() as upload:
        upload.write(b"x")
        assert taken == [upload.temporary]
        assert upload.temporary.read_bytes() == b"x"


def test_a_folder_that_keepers_share_is_left_to_them(tmp_path: Path) -> None:
    local = FilesSection(directory=tmp_path)
    upload = FileSpace(local).new_upload()
    assert clear(local) == 0
    assert upload.temporary.exists()
    upload.abort()
