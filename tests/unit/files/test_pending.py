"""A file that is being written, and an interrupt that comes as a time limit's does: after any call of the system, before its value is in anybody's hands."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import pytest

from dtqs import files
from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace, PendingFile

CODE = str(Path(files.__file__).parent)


class Interrupt(BaseException):
    """As the worker's: no Exception."""


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Raise when so many built-in functions have returned to the code of files: a signal's handler runs there, too."""
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
    """The descriptors that this process has open."""
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("owner", [None, "worker"])
def test_an_interrupt_leaves_no_descriptor_and_no_file(tmp_path: Path, owner: str | None) -> None:
    space = FileSpace(FilesSection(directory=tmp_path), owner)
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
def test_what_cannot_be_removed_does_not_hide_why_it_was_to_be(tmp_path: Path, stubborn: str) -> None:
    space = FileSpace(FilesSection(directory=tmp_path))

    def write(file: BinaryIO) -> None:
        path = Path(file.name)
        if stubborn == "temporary":
            path.unlink()
        else:
            path = space.path_of(path.stem)
        path.mkdir(parents=True)  # which no unlink removes
        raise Interrupt

    with pytest.raises(Interrupt):
        space.add_output("o", write, "text/plain")


def test_a_file_that_is_anothers_is_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "a.part"
    there.write_text("another's")
    with pytest.raises(FilesUnavailable, match="exists"):
        PendingFile("a", there, lambda pending: None)
    assert there.read_text() == "another's"


def test_a_file_that_nobody_holds_any_more_is_aborted(tmp_path: Path) -> None:
    before = _held()
    PendingFile("a", tmp_path / "a.part", lambda pending: None)
    assert list(tmp_path.iterdir()) == []
    assert _held() == before
