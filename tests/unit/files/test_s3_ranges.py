"""Servers that answer a range of a whole object with the status 200, as rclone does."""

import httpcore
import pytest

from dtqs.config.files_section import FilesSection
from dtqs.errors import FilesUnavailable
from dtqs.files.s3_wire import Request, S3Wire


@pytest.mark.parametrize(
    ("part", "length", "is_accepted"),
    [
        ("bytes=0-9", b"10", True),
        ("bytes=0-9", b"7", True),
        ("bytes=0-", b"10", True),
        ("bytes=0-9", b"11", False),
        ("bytes=0-9", b"", False),
        ("bytes=1-9", b"10", False),
        ("bytes=1-", b"10", False),
    ],
)
def test_a_whole_object_is_taken_for_a_range_only_if_the_range_covers_it(
    monkeypatch: pytest.MonkeyPatch, part: str, length: bytes, is_accepted: bool
) -> None:
    response = httpcore.Response(200, headers=[(b"Content-Length", length)] if length else [], content=b"")
    wire = S3Wire(FilesSection())
    monkeypatch.setattr(wire, "_send", lambda request: response)
    request = Request("GET", "bucket", "key", part=part)
    if is_accepted:
        assert wire.open(request).size_bytes == int(length)
    else:
        with pytest.raises(FilesUnavailable, match="instead of a part"):
            wire.open(request)
