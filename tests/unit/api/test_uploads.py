"""The memory of uploads: room for their pieces is held while a body comes, and given back at each end."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import falcon
import gevent
import pytest
from falcon.testing import create_environ

from dtqs.api.files import upload_room
from dtqs.api.files.uploads import Uploads
from dtqs.api.http.byte_room import MOST_BYTES, SMALL_BYTES
from dtqs.api.http.disk import FileThreads
from dtqs.api.submit.task_links import Links
from dtqs.config import FilesSection
from dtqs.errors import FilesUnavailable, StoreUnavailable
from dtqs.files import DiskReserved, FileSpace, PendingFile

SHARED = FileThreads()
"""Shared by all tests: threads stay, and a dump of stacks has room for a hundred."""

SIZE = 3 << 20
FORM = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n%s\r\n--b--\r\n'


class Incoming:
    """A body that notes the sizes of its reads, and the room that is held at each."""

    def __init__(self, whole: bytes, uploads: Uploads) -> None:
        self.whole, self.at, self.uploads = whole, 0, uploads
        self.sizes: list[int] = []
        self.held: list[int] = []
        self.ends_at = len(whole)

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        self.held.append(self.uploads._memory._by_key["key"])
        piece = self.whole[self.at : min(self.at + size, self.ends_at)]
        self.at += len(piece)
        return piece


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return uploads_of(FilesSection(directory=tmp_path))


def uploads_of(section: FilesSection, threads: FileThreads | None = None) -> Uploads:
    caller = SimpleNamespace(name_space="key", key_id="key", ceilings=None)
    auth, rows = SimpleNamespace(require=lambda *_: caller), SimpleNamespace(insert=lambda *_: None)
    links = Links("", None)
    return Uploads(cast(Any, auth), FileSpace(section), cast(Any, rows), links, section, threads or SHARED)


def incoming(uploads: Uploads, kind: str) -> tuple[Incoming, falcon.Request]:
    whole = FORM % (b"x" * SIZE) if kind == "form" else b"x" * SIZE
    media_type = "multipart/form-data; boundary=b" if kind == "form" else "application/octet-stream"
    body = Incoming(whole, uploads)
    headers = {"Content-Length": str(len(whole)), "Content-Type": media_type}
    return body, falcon.Request(create_environ("/files", method="POST", headers=headers) | {"wsgi.input": body})


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_an_upload_holds_room_for_one_piece_and_gives_it_back(uploads: Uploads, kind: str) -> None:
    body, req = incoming(uploads, kind)
    resp = falcon.Response()
    uploads.on_post(req, resp)
    assert resp.status == falcon.HTTP_201
    assert (body.held[0], max(body.held)) == (0, 1 << 20)
    assert not uploads._memory._by_key


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_an_upload_without_room_comes_in_small_pieces(uploads: Uploads, kind: str) -> None:
    others = uploads._memory.share("key")
    others.cover(MOST_BYTES // 2)
    body, req = incoming(uploads, kind)
    uploads.on_post(req, falcon.Response())
    assert max(body.sizes) == SMALL_BYTES
    assert uploads._memory._by_key == {"key": MOST_BYTES // 2}


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_an_upload_that_breaks_off_gives_its_room_back(uploads: Uploads, kind: str, tmp_path: Path) -> None:
    body, req = incoming(uploads, kind)
    body.ends_at = SIZE // 2
    with pytest.raises(falcon.HTTPBadRequest):
        uploads.on_post(req, falcon.Response())
    assert max(body.held) == 1 << 20
    assert not uploads._memory._by_key
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def unlinking(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the threads that delete files."""
    threads: list[int] = []

    def unlink(path: Any, **options: Any) -> None:
        real(path, **options)
        threads.append(threading.get_ident())

    real = os.unlink
    monkeypatch.setattr(os, "unlink", unlink)
    return threads


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_large_upload_that_breaks_off_is_deleted_in_a_thread(
    uploads: Uploads, kind: str, unlinking: list[int]
) -> None:
    """To unlink 2 GiB takes 100 ms."""
    body, req = incoming(uploads, kind)
    body.ends_at = SIZE - 1
    with pytest.raises(falcon.HTTPBadRequest):
        uploads.on_post(req, falcon.Response())
    assert len(unlinking) == 1
    assert threading.get_ident() not in unlinking


def test_a_large_upload_without_a_row_is_deleted_in_a_thread(
    uploads: Uploads, unlinking: list[int], tmp_path: Path
) -> None:
    def insert(*_: object) -> None:
        raise StoreUnavailable("away")

    uploads._rows = cast(Any, SimpleNamespace(insert=insert))
    with pytest.raises(StoreUnavailable):
        uploads.on_post(incoming(uploads, "raw")[1], falcon.Response())
    assert len(unlinking) == 1
    assert threading.get_ident() not in unlinking
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fails", [True, False])
def test_the_temporary_file_of_an_upload_elsewhere_is_deleted_in_a_thread(
    uploads: Uploads, fails: bool, unlinking: list[int], tmp_path: Path
) -> None:
    def keep(_: PendingFile) -> None:
        if fails:
            raise OSError("the storage is away")

    pending = PendingFile("id", tmp_path / "id.part", keep)
    uploads._space = cast(Any, SimpleNamespace(new_upload=lambda: pending, over_network=True, free=uploads._space.free))
    if fails:
        with pytest.raises(FilesUnavailable):
            uploads.on_post(incoming(uploads, "raw")[1], falcon.Response())
    else:
        uploads.on_post(incoming(uploads, "raw")[1], falcon.Response())
    assert len(unlinking) == 1
    assert threading.get_ident() not in unlinking
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


class Cuttable:
    """A connection whose reading can be ended."""

    is_cut = False

    def cut(self) -> None:
        self.is_cut = True

    def gettimeout(self) -> None:
        return None


def test_a_slow_upload_that_ends_for_another_key_gets_503_and_leaves_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = uploads_of(FilesSection(directory=tmp_path, max_upload_bytes=SIZE, receiving_bytes=SIZE))
    connection, now, got = Cuttable(), [0.0], list[int]()
    monkeypatch.setattr(upload_room, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def other() -> None:
        with uploads._room.taken(SIZE, SIZE, "modest") as share:
            share.cover(SIZE)
            got.append(SIZE)

    class Slow(Incoming):
        def read(self, size: int) -> bytes:
            if self.at >= 2 << 20 and not got:
                now[0] += 300
                waiting.append(gevent.spawn(other))
                gevent.sleep(0)
            return b"" if connection.is_cut else super().read(size)

    waiting: list[Any] = []
    environ = create_environ("/files", method="POST", headers={"Content-Length": str(SIZE)})
    body = Slow(b"x" * SIZE, uploads)
    req = falcon.Request(environ | {"wsgi.input": body, "gunicorn.socket": connection})
    with pytest.raises(falcon.HTTPServiceUnavailable):
        uploads.on_post(req, falcon.Response())
    gevent.joinall(waiting, timeout=10)
    assert got == [SIZE]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def ticks_while(blocked: threading.Event, unblock: Callable[[], object], work: Callable[[], object]) -> int:
    """Run the work in a greenlet. Return how often the loop turned while the disk did not answer."""
    ticks, working = 0, gevent.spawn(work)
    with gevent.Timeout(20):
        while not blocked.is_set():
            gevent.sleep(0.001)
            if working.ready():
                working.get()
        for _ in range(20):
            gevent.sleep(0)
            ticks += 1
            assert not working.ready()
        unblock()
        working.get()
    return ticks


@pytest.mark.parametrize("size", [10, 3 << 20])
@pytest.mark.parametrize("step", ["open", "write", "fsync", "unlink"])
def test_a_disk_that_does_not_answer_stops_no_other_request(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, size: int
) -> None:
    blocked, answers, real = threading.Event(), threading.Event(), getattr(os, step)

    def stalled(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            pytest.fail("the disk is used in the loop")
        blocked.set()
        answers.wait(20)
        return real(*arguments, **options)

    body, req = incoming(uploads, "raw")
    body.whole, req.env["CONTENT_LENGTH"] = b"x" * size, str(size)
    body.ends_at = size
    monkeypatch.setattr(os, step, stalled)
    assert ticks_while(blocked, answers.set, lambda: uploads.on_post(req, falcon.Response())) == 20
    assert [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()] == [size]


def test_uploads_get_503_while_all_threads_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = uploads_of(FilesSection(directory=tmp_path), FileThreads(2, 0.05))
    answers, real, waiting = threading.Event(), os.open, []

    def stalled(*arguments: Any, **options: Any) -> int:
        waiting.append(arguments)
        answers.wait(20)
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", stalled)
        first = [gevent.spawn(uploads.on_post, incoming(uploads, "raw")[1], falcon.Response()) for _ in range(2)]
        with gevent.Timeout(20):
            while len(waiting) < 2:
                gevent.sleep(0.001)
        with pytest.raises(FilesUnavailable, match="all 2 threads for files"):
            uploads.on_post(incoming(uploads, "raw")[1], falcon.Response())
    answers.set()
    gevent.joinall(first, timeout=20, raise_error=True)
    uploads.on_post(incoming(uploads, "raw")[1], falcon.Response())
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    assert not uploads._memory._by_key


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_an_upload_that_would_take_the_reserve_of_the_disk_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    uploads, real = uploads_of(FilesSection(directory=tmp_path, min_free_bytes=1 << 30)), os.statvfs

    def nearly_full(path: Any) -> Any:
        free = (1 << 30) + SIZE // 2
        return SimpleNamespace(f_frsize=1, f_blocks=1 << 40, f_bavail=free, f_files=0, f_favail=0)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    with pytest.raises(DiskReserved, match="min_free_bytes"):
        uploads.on_post(incoming(uploads, kind)[1], falcon.Response())
    assert capsys.readouterr().err == "", "a caller may cause any number of refusals, so none has a traceback"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.setattr(os, "statvfs", real)
    uploads._space.add_output("x", lambda file: file.write(b"x"), "text/plain")
