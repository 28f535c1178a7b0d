"""The answers to GET and HEAD of a file."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import falcon
import pytest
from falcon.testing import create_environ

from dtqs.api.files.downloads import Downloads
from dtqs.api.http.byte_room import ByteRoom
from dtqs.config import FilesSection
from dtqs.errors import AnswersFull
from dtqs.files import FileSpace

CONTENT = b"0123456789"


@pytest.fixture
def downloads(tmp_path: Path) -> tuple[Downloads, str]:
    """Return the resource, and the id of a file of ten bytes."""
    space = FileSpace(FilesSection(directory=tmp_path))
    file = space.add_output("x", lambda to: to.write(CONTENT), "text/plain")
    row = SimpleNamespace(file_id=file.file_id, sha256=file.sha256, size_bytes=10, name="x", media_type="text/plain")
    caller = SimpleNamespace(name_space="key", owner=None)
    auth, rows = SimpleNamespace(require=lambda *_: caller), SimpleNamespace(get=lambda *_: row)
    return Downloads(cast(Any, auth), space, cast(Any, rows), ByteRoom(0, AnswersFull)), file.file_id


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
