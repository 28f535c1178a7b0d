"""Media types, recognised by a file's first bytes."""

import io
import time
import zipfile

import pytest
from PIL import Image

from dtqs.kinds import description
from dtqs.sniff import HEAD_BYTES, sniff


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "tiff", "avif", "bmp"])
def test_an_image_is_recognised_by_its_bytes(kind: str) -> None:
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
def test_other_files_are_recognised_by_their_bytes(head: bytes, media_type: str) -> None:
    assert sniff(head) == media_type


def _iso(major: bytes, *brands: bytes) -> bytes:
    return (16 + 4 * len(brands)).to_bytes(4, "big") + b"ftyp" + major + bytes(4) + b"".join(brands) + bytes(50)


def _saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "said"),
    [
        *(
            (_iso(brand, b"mif1", brand), "a HEIC image")
            for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
        ),
        (_iso(b"mif1", b"mif1", b"heic", b"miaf"), "a HEIC image"),
        (_iso(b"mif1", b"mif1", b"miaf"), "a HEIF image"),
        (_iso(b"msf1", b"avis", b"mif1"), "an AVIF image"),
        (_iso(b"crx ", b"crx ", b"isom"), "a Canon raw (CR3)"),
        (_iso(b"isom", b"avc1"), "a video (video/mp4)"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a Canon raw (CR2)"),
        (b"FUJIFILMCCD-RAW 0201FF", "a Fujifilm raw (RAF)"),
        (b"IIRO\x08\0\0\0", "an Olympus raw (ORF)"),
        (b"IIU\0\x08\0\0\0", "a Panasonic raw (RW2)"),
        (b"\xff\x0a\x01\x01", "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"8BPS\0\x01", "a Photoshop file"),
        (b"\xff\x4f\xff\x51\0", "a JPEG 2000 image"),
        (b"v/1\x01\x02\0\0\0", "an OpenEXR image"),
        (_saved("ico"), "an icon (ICO)"),
        (b"\0\0\2\0\1\0\x20\x20\0\0\1\0\1\0\x30\1\0\0\x16", "a mouse pointer (CUR)"),
        (_saved("ppm"), "a PPM image (or PBM, PGM, PFM, PAM)"),
        (b"P2 # grey\n3 2\n255\n", "a PPM image (or PBM, PGM, PFM, PAM)"),
        (b"Page 1 of 2\n", "plain text"),
        (b"P1 is urgent\n", "plain text"),
        (b"\0\0\1\0" + bytes(40), "of an unknown type"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"<svg xmlns=''>", "an SVG drawing"),
        (b"fLaC\0\0\0\x22", "a sound file (audio/flac)"),
    ],
)
def test_a_refusal_can_describe_the_file(head: bytes, said: str) -> None:
    assert description(sniff(head)) == said


def test_a_head_made_to_confuse_costs_no_time() -> None:
    started = time.process_time()
    assert sniff((b"<!---->" * 1000)[:HEAD_BYTES]) == "text/plain"
    assert time.process_time() - started < 0.1
