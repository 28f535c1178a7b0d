"""A file appears under its name with all its content, or not at all."""

import os
from pathlib import Path

import pytest

from dtqs.whole_file import WholeFile


def test_the_name_gets_the_new_content_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with WholeFile(path, 0o640, durable=False) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert os.listdir(tmp_path) == ["a"]


def test_an_error_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def write() -> None:
        with WholeFile(path, durable=True) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["a"])


def test_a_file_that_must_be_missing_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in (b"first", b"second"):
        with WholeFile(path, durable=True, if_missing=True) as file:
            file.write(text)
    assert (path.read_text(), os.listdir(tmp_path)) == ("first", ["a"])


def test_two_writers_of_one_file_write_a_whole_one_each(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with WholeFile(path, durable=False) as one:
        one.write(b"first")
        with WholeFile(path, durable=False) as other:
            other.write(b"second, and longer")
        assert path.read_bytes() == b"second, and longer"
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"first", ["a"])


def test_a_file_may_have_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    with WholeFile(path, durable=True) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_a_durable_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        steps.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def note_name(source: str, target: str) -> None:
        steps.append("named")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_name)
    with WholeFile(tmp_path / "a", durable=True) as file:
        file.write(b"x")
    assert [steps[0][-5:], *steps[1:]] == [".part", "named", tmp_path.name]
    steps.clear()
    with WholeFile(tmp_path / "a", durable=False) as file:
        file.write(b"x")
    assert steps == ["named"]
