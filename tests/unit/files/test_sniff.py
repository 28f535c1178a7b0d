"""Kinds of files, told by their first bytes."""

import io
import time
import zipfile

import pytest
from PIL import Image

from dtqs.files.sniff import HEAD_BYTES, sniff


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "tiff", "avif", "bmp"])
def test_a_picture_is_known_by_its_bytes(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind)
    assert sniff(buffer.getvalue()[:HEAD_BYTES]) == f"image/{kind}"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
        (_zip(), "application/zip"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video/mp4"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "image/avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "text/plain"),
        (b"  <!-- x --><!DOCTYPE html><p>", "text/html"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns=''>", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        ("grün".encode()[:3], "text/plain"),
        (b"gr\xfcn", "application/octet-stream"),
        (b"\0\1\2", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_other_files_are_known_by_their_bytes(head: bytes, media_type: str) -> None:
    assert sniff(head) == media_type


def test_a_head_made_to_confuse_costs_no_time() -> None:
    started = time.process_time()
    assert sniff((b"<!---->" * 1000)[:HEAD_BYTES]) == "text/plain"
    assert time.process_time() - started < 0.1
