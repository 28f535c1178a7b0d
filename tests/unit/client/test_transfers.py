"""Uploads of files that change while they are sent, or that are no files; downloads to one path at the same time."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from dtqs.bare_httpx import httpx
from dtqs.client.transfers import CHUNK_BYTES, keep, open_source


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


def answer(content: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}, content=content)


def test_downloads_of_several_threads_to_one_path_leave_a_whole_file(tmp_path: Path) -> None:
    path, halfway = tmp_path / ("f" * 250), threading.Barrier(2)
    contents = [letter * 2 * CHUNK_BYTES for letter in (b"a", b"b")]
    failed: list[BaseException] = []

    def download(content: bytes) -> None:
        sizes = list[int]()

        def received(size: int) -> None:
            sizes.append(size)
            if len(sizes) == 1:
                halfway.wait(20)

        try:
            keep(answer(content), path, received)
        except BaseException as error:
            failed.append(error)
            halfway.abort()

    threads = [threading.Thread(target=download, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == [path.name]


def test_a_download_replaces_no_device(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link, tmp_path):
        with pytest.raises(OSError, match="only a regular file can be replaced"):
            keep(answer(b"x"), path, lambda _: None)
    assert pipe.is_fifo()
    assert link.is_symlink()
