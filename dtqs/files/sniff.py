"""Which kind of file some bytes begin, told from the bytes alone: names and senders' words are not believed."""

import codecs
import re

HEAD_BYTES = 4096
"""So many bytes from the beginning tell every kind that is known here."""
UNKNOWN = "application/octet-stream"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"\0\0\x01\xba", "video/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP = re.compile(rb"<(!doctype html|html|head|body|script|iframe|svg)\b", re.IGNORECASE)
_PROLOGUE = ((b"<!--", b"-->"), (b"<?xml", b"?>"), (b"<!doctype svg", b">"))


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes; UNKNOWN where they tell nothing."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return _text(head)


def _brand(head: bytes) -> str:
    """An ISO media file says what it is by its brands: the major one first, then those it is compatible with."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    # mif1 says only "some HEIF"; an AVIF may name it first
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    return _BRANDS.get(brands[0], "video/mp4")


def _text(head: bytes) -> str:
    if not head or _CONTROL.search(head):
        return UNKNOWN
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # incremental: a character that is cut off at the end is no fault
    except UnicodeDecodeError:
        return UNKNOWN
    if match := _MARKUP.match(_skip_prologue(head)):
        return "image/svg+xml" if match[1].lower() == b"svg" else "text/html"
    return "application/xml" if head.lstrip().startswith(b"<?xml") else "text/plain"


def _skip_prologue(head: bytes) -> bytes:
    """Drop comments and declarations before the first element, in one pass: a pattern for it could be made to backtrack for ever."""
    rest = head.lstrip()
    while end := next((end for start, end in _PROLOGUE if rest[: len(start)].lower() == start), b""):
        rest = rest.partition(end)[2].lstrip()
    return rest
