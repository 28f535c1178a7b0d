"""The parts of a large file go to object storage several at once, and a failure ends them all."""

import _thread
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dtqs.errors import FilesUnavailable
from dtqs.files import s3_upload
from dtqs.files.s3_upload import LANES, PartsUpload
from dtqs.files.s3_wire import FilePart
from tests.support.helpers import eventually

BODY = bytes(range(250)) * 42
PART_BYTES = 1000
PARTS = 11
Upload = Callable[[Callable[[int, FilePart], str]], list[str]]


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upload]:
    monkeypatch.setattr(s3_upload, "PART_BYTES", PART_BYTES)
    (tmp_path / "file").write_bytes(BODY)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield lambda send: PartsUpload(fd, len(BODY), send).run()
    os.close(fd)


def wait_until_stopped(part: FilePart) -> str:
    while True:
        b"".join(part)


def lanes() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("part")]


def test_the_parts_make_the_file_and_their_tags_keep_its_order(upload: Upload) -> None:
    sent: dict[int, bytes] = {}

    def send(number: int, part: FilePart) -> str:
        sent[number] = b"".join(part)
        return f"tag {number}"

    assert upload(send) == [f"tag {number}" for number in range(1, PARTS + 1)]
    assert b"".join(sent[number] for number in range(1, PARTS + 1)) == BODY


def test_as_many_parts_as_lanes_are_sent_at_once_and_no_more(upload: Upload) -> None:
    together = threading.Barrier(LANES)
    running, most = [0], [0]

    def send(number: int, part: FilePart) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        if number <= LANES:
            together.wait(10)
        running[0] -= 1
        return ""

    upload(send)
    assert most[0] == LANES


def test_a_part_that_fails_stops_the_others_and_is_raised(upload: Upload) -> None:
    begun: list[int] = []

    def send(number: int, part: FilePart) -> str:
        begun.append(number)
        if number == 3:
            raise FilesUnavailable("the storage is away")
        return wait_until_stopped(part)

    with pytest.raises(FilesUnavailable, match="the storage is away"):
        upload(send)
    assert max(begun) <= LANES
    assert lanes() == []


def test_an_interrupt_stops_all_parts(upload: Upload) -> None:
    together = threading.Barrier(LANES, _thread.interrupt_main)

    def send(number: int, part: FilePart) -> str:
        together.wait(10)
        return wait_until_stopped(part)

    with pytest.raises(KeyboardInterrupt):
        upload(send)
    eventually(lambda: lanes() == [], 10, "all lanes have ended")
