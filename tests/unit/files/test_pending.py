"""A file that is being written, and an interrupt after any system call, before its value is assigned."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import pytest

from dtqs import files, whole_file
from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace, PendingFile

CODE = (str(Path(files.__file__).parent), whole_file.__file__)


class Interrupt(BaseException):
    """Derive from BaseException, as the worker's interrupt does."""


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Raise after this many built-in functions have returned to the code of files, as a signal handler may."""
    left = after

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event == "c_return" and frame.f_code.co_filename.startswith(CODE):
            left -= 1
            if left == 0:
                raise Interrupt

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def _held() -> list[str]:
    """Return the open descriptors of this process."""
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("owner", [None, "worker"])
def test_an_interrupt_leaves_no_descriptor_and_no_file(tmp_path: Path, owner: str | None) -> None:
    space = FileSpace(FilesSection(directory=tmp_path), owner)
    # make the folders: a call that makes one takes the place of the call that opens the file
    first = space.add_output("o", lambda file: file.write(b"x"), "text/plain")
    space.path_of(first.file_id).unlink()
    before = _held()
    for after in count(1):
        try:
            with interrupted(after):
                space.add_output("o", lambda file: file.write(b"x"), "text/plain")
        except Interrupt:
            assert _held() == before, f"after {after} calls"
            assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "stored"], (
                f"after {after} calls"
            )
        else:
            break
    assert after > 20


@pytest.mark.parametrize("stubborn", ["temporary", "stored"])
def test_a_file_that_cannot_be_removed_does_not_hide_the_first_error(tmp_path: Path, stubborn: str) -> None:
    space = FileSpace(FilesSection(directory=tmp_path))

    def write(file: BinaryIO) -> None:
        path = Path(file.name)
        if stubborn == "temporary":
            path.unlink()
        else:
            path = space.path_of(path.stem)
        path.mkdir(parents=True)  # unlink removes no folder
        raise Interrupt

    with pytest.raises(Interrupt):
        space.add_output("o", write, "text/plain")


def test_a_file_of_another_writer_is_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "a.part"
    there.write_text("another's")
    with pytest.raises(FilesUnavailable, match="exists"):
        PendingFile("a", there, lambda pending: None)
    assert there.read_text() == "another's"


def test_a_file_without_a_holder_is_aborted(tmp_path: Path) -> None:
    before = _held()
    PendingFile("a", tmp_path / "a.part", lambda pending: None)
    assert list(tmp_path.iterdir()) == []
    assert _held() == before
