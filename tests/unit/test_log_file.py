"""The log file in the place of a descriptor: rotations, and files that cannot be opened."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtqs import log_file
from dtqs.log_file import LogFile


@pytest.fixture
def descriptor() -> Iterator[int]:
    reader, writer = os.pipe()
    yield writer
    os.close(reader)
    os.close(writer)


def test_a_rotated_file_is_left_once_another_has_its_name(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "_LOOK_SECONDS", 0.0)
    path = tmp_path / "log"
    file = LogFile(path, descriptor)
    path.rename(tmp_path / "old")
    file.follow()
    os.write(descriptor, b"while no file has the name\n")
    assert not path.exists(), "the rotation may be about to make it"
    path.touch()
    file.follow()
    os.write(descriptor, b"after\n")
    assert (tmp_path / "old").read_text() == "while no file has the name\n"
    assert path.read_text() == "after\n"


def test_opening_again_makes_the_file_and_a_copied_and_cut_file_goes_on(tmp_path: Path, descriptor: int) -> None:
    path = tmp_path / "log"
    file = LogFile(path, descriptor)
    path.rename(tmp_path / "old")
    file.again()
    os.write(descriptor, b"first\n")
    os.truncate(path, 0)
    os.write(descriptor, b"second\n")
    assert path.read_text() == "second\n"
    assert path.stat().st_mode & 0o027 == 0


def test_a_file_that_cannot_be_opened_leaves_the_descriptor_as_it_is(tmp_path: Path, descriptor: int) -> None:
    before = os.fstat(descriptor)
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "absent" / "log", descriptor)
    assert os.fstat(descriptor).st_ino == before.st_ino
