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


def test_leftovers_and_links_under_the_temporary_name_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / f".a.{os.getpid()}.part").symlink_to(tmp_path / "theirs")
    with WholeFile(tmp_path / "a", durable=False) as file:
        file.write(b"ours")
    assert ((tmp_path / "theirs").read_text(), (tmp_path / "a").read_text()) == ("theirs", "ours")


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
    assert steps == [f".a.{os.getpid()}.part", "named", tmp_path.name]
    steps.clear()
    with WholeFile(tmp_path / "a", durable=False) as file:
        file.write(b"x")
    assert steps == ["named"]
