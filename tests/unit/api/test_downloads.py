"""The answers to GET and HEAD of a file."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import falcon
import falcon.testing
import gevent
import pytest
from falcon.testing import create_environ

from dtqs.api.files.downloads import Downloads
from dtqs.api.http import problems
from dtqs.api.http.answer import Answer
from dtqs.api.http.byte_room import ByteRoom
from dtqs.api.http.disk import THREADS, FileThreads
from dtqs.config import FilesSection
from dtqs.errors import AnswersFull
from dtqs.files import FileSpace

SHARED = FileThreads()
"""Shared by all tests: threads stay, and a dump of stacks has room for a hundred."""

CONTENT = b"0123456789"


@pytest.fixture
def downloads(tmp_path: Path) -> tuple[Downloads, str]:
    """Return the resource, and the id of a file of ten bytes."""
    space = FileSpace(FilesSection(directory=tmp_path))
    file = space.add_output("x", lambda to: to.write(CONTENT), "text/plain")
    row = SimpleNamespace(file_id=file.file_id, sha256=file.sha256, size_bytes=10, name="x", media_type="text/plain")
    caller = SimpleNamespace(name_space="key", owner=None)
    auth, rows = SimpleNamespace(require=lambda *_: caller), SimpleNamespace(get=lambda *_: row)
    room = ByteRoom(0, AnswersFull)
    return Downloads(cast(Any, auth), space, cast(Any, rows), room, SHARED), file.file_id


@pytest.mark.parametrize("asked", ["bytes=2-4", "bytes=10-"])
def test_a_head_ignores_a_range(downloads: tuple[Downloads, str], asked: str) -> None:
    resource, file_id = downloads
    resp = falcon.Response()
    resource.on_head(falcon.Request(create_environ("/", method="HEAD", headers={"Range": asked})), resp, file_id)
    assert (resp.status, resp.content_length) == (falcon.HTTP_200, "10")
    assert resp.get_header("Content-Range") is None


def test_a_get_has_a_range(downloads: tuple[Downloads, str]) -> None:
    resource, file_id = downloads
    resp = falcon.Response()
    resource.on_get(falcon.Request(create_environ("/", headers={"Range": "bytes=2-4"})), resp, file_id)
    assert (resp.status, resp.content_length) == (falcon.HTTP_206, "3")
    assert b"".join(cast(Any, resp.stream)) == CONTENT[2:5]
    cast(Any, resp.stream).close()


def test_a_file_that_cannot_be_opened_gets_a_problem_without_its_headers(downloads: tuple[Downloads, str]) -> None:
    """A cache would keep the problem document under the ETag, and get 304 for it later."""
    resource, file_id = downloads
    app: Any = falcon.App(response_type=Answer)
    problems.add_handlers(app)
    app.add_route("/{file_id}", resource)
    client = falcon.testing.TestClient(app)
    path = resource._space.path_of(file_id)
    whole = client.simulate_get(f"/{file_id}")
    assert (whole.status_code, whole.content, "etag" in whole.headers) == (200, CONTENT, True)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    broken = client.simulate_get(f"/{file_id}", headers={"Range": "bytes=2-4"})
    assert broken.status_code == 503
    path.unlink()
    gone = client.simulate_get(f"/{file_id}")
    assert gone.status_code == 404
    past = client.simulate_get(f"/{file_id}", headers={"Range": "bytes=99-"})
    assert (past.status_code, past.headers["content-range"]) == (416, "bytes */10")
    for answer in (broken, gone, past):
        assert answer.headers["cache-control"] == "no-store"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert not {"etag", "content-disposition", "accept-ranges"} & answer.headers.keys()
    assert "content-range" not in broken.headers


def get(resource: Downloads, file_id: str) -> bytes:
    resp = falcon.Response()
    resource.on_get(falcon.Request(create_environ("/")), resp, file_id)
    whole = b"".join(cast(Any, resp.stream))
    cast(Any, resp.stream).close()
    return whole


def test_a_disk_that_does_not_open_a_file_stops_no_other_request(downloads: tuple[Downloads, str]) -> None:
    """To open a FIFO for reading waits for its writer, as a network disk waits for its server."""
    resource, file_id = downloads
    path = resource._space.path_of(file_id)
    path.unlink()
    os.mkfifo(path)
    writer = threading.Timer(5, lambda: path.open("wb").close())  # an open in the loop would wait without end
    writer.start()
    reading = gevent.spawn(get, resource, file_id)
    with gevent.Timeout(20):
        for _ in range(20):
            gevent.sleep(0.001)
            assert not reading.ready()
        writer.cancel()
        with path.open("wb"), pytest.raises(OSError, match="seek"):
            reading.get()


@pytest.mark.parametrize("step", ["pread", "close"])
def test_a_disk_that_does_not_read_or_close_a_file_stops_no_other_request(
    downloads: tuple[Downloads, str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    resource, file_id = downloads
    blocked, answers, real = threading.Event(), threading.Event(), getattr(os, step)

    def stalled(*arguments: Any) -> Any:
        blocked.set()
        assert threading.current_thread() is not threading.main_thread()
        answers.wait(20)
        return real(*arguments)

    monkeypatch.setattr(os, step, stalled)
    reading = gevent.spawn(get, resource, file_id)
    with gevent.Timeout(20):
        while not blocked.is_set():
            gevent.sleep(0.001)
        for _ in range(20):
            gevent.sleep(0)
            assert not reading.ready()
        answers.set()
        assert reading.get() == CONTENT


def files_of(path: Path) -> int:
    """Return how many descriptors of this process show the file."""
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return sum(link.is_symlink() and link.resolve() == path for link in links)


@pytest.mark.parametrize("ends", ["read", "left", "killed"])
def test_a_download_leaves_no_open_file(downloads: tuple[Downloads, str], ends: str) -> None:
    resource, file_id = downloads
    path = resource._space.path_of(file_id).resolve()
    large = 3 << 20
    path.write_bytes(b"x" * large)
    cast(Any, resource._rows).get = lambda *_: SimpleNamespace(
        file_id=file_id, sha256="x", size_bytes=large, name="x", media_type="text/plain"
    )
    resp = falcon.Response()
    if ends == "killed":
        asked = gevent.spawn(resource.on_get, falcon.Request(create_environ("/")), resp, file_id)
        gevent.sleep(0)
        asked.kill()
    else:
        resource.on_get(falcon.Request(create_environ("/")), resp, file_id)
        stream = cast(Any, resp.stream)
        assert len(b"".join(stream) if ends == "read" else next(stream)) == (large if ends == "read" else 256 << 10)
        assert files_of(path) == (ends == "left")
        stream.close()
        stream.close()
    with gevent.Timeout(20):
        while files_of(path):
            gevent.sleep(0.001)
        while resource._threads._free.counter < THREADS:
            gevent.sleep(0.001)
