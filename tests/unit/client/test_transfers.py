"""Uploads of files that change while they are sent, or that are no files."""

import os
from pathlib import Path

import pytest

from dtqs.client.transfers import CHUNK_BYTES, open_source


def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "growing.log"
    path.write_bytes(b"a" * (CHUNK_BYTES + 1))

    def grow(_: int) -> None:
        with path.open("ab") as file:
            file.write(b"b" * CHUNK_BYTES)

    opened = open_source(path, "", "", grow)
    assert b"".join(opened.pieces) == b"a" * (CHUNK_BYTES + 1)
    assert opened.size_bytes == CHUNK_BYTES + 1


def test_a_file_that_gets_shorter_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "cut.log"
    path.write_bytes(b"a" * (2 * CHUNK_BYTES))
    opened = open_source(path, "", "", lambda _: os.truncate(path, CHUNK_BYTES))
    with pytest.raises(OSError, match="shorter during its upload"):
        list(opened.pieces)


def test_only_a_regular_file_is_sent(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(OSError, match="only a regular file"):
            open_source(path, "", "", lambda _: None)
