"""The media type of a file, from its first bytes alone; names and declared types are not trusted.

kinds.py has names of media types for people.
"""

import codecs
import re

HEAD_BYTES = 4096
"""Number of leading bytes that identify every known type."""
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
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"II\xbc\x01", "image/jxr"),
    (b"FUJIFILMCCD-RAW", "image/x-fuji-raf"),
    (b"II\x1a\0\0\0HEAPCCDR", "image/x-canon-crw"),
    (b"IIRO", "image/x-olympus-orf"),
    (b"IIRS", "image/x-olympus-orf"),
    (b"MMOR", "image/x-olympus-orf"),
    (b"IIU\0", "image/x-panasonic-rw2"),
    (b"FOVb", "image/x-sigma-x3f"),
    (b"\0MRM", "image/x-minolta-mrw"),
    (b"v/1\x01", "image/x-exr"),
    (b"#?RADIANCE", "image/vnd.radiance"),
    (b"#?RGBE", "image/vnd.radiance"),
    (b"DDS ", "image/vnd-ms.dds"),
    (b"gimp xcf", "image/x-xcf"),
    (b"qoif", "image/qoi"),
    (b"icns", "image/icns"),
    (b"\x8aMNG\r\n\x1a\n", "video/x-mng"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"SIMPLE  =", "image/fits"),
    (b"/* XPM */", "image/x-xpixmap"),
    (b"\xd7\xcd\xc6\x9a\0\0", "image/wmf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"{\\rtf", "application/rtf"),
    (b"\0\x05\x16\x07\0\x02\0\0", "application/applefile"),
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
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"hevm": "image/heic",
    b"hevs": "image/heic",
    b"mif1": "image/heif",
    b"mif2": "image/heif",
    b"msf1": "image/heif",
    b"miaf": "image/heif",
    b"1pic": "image/heif",
    b"avci": "image/heif",
    b"avcs": "image/heif",
    b"jpeg": "image/heif",
    b"jpgs": "image/heif",
    b"vvic": "image/heif",
    b"crx ": "image/x-canon-cr3",
    b"jxl ": "image/jxl",
    b"jp2 ": "image/jp2",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
}
_MAGIC_LATER: tuple[tuple[int, bytes, str], ...] = (
    (40, b" EMF", "image/emf"),
    (128, b"DICM", "application/dicom"),
)
_PORTABLE = re.compile(rb"P(?:[1-6]|[Ff])\s+(?:#[^\n]*\n\s*)?-?[0-9]+\s|P7\nWIDTH ")
"""PBM, PGM and PPM in text and binary form, PFM and PAM."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP = re.compile(rb"<(!doctype html|html|head|body|script|iframe|svg)\b", re.IGNORECASE)
_PROLOGUE = ((b"<!--", b"-->"), (b"<?xml", b"?>"), (b"<!doctype svg", b">"))


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes, or UNKNOWN."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return "image/x-canon-cr2" if media_type == "image/tiff" and head[8:11] == b"CR\x02" else media_type
    for at, magic, media_type in _MAGIC_LATER:
        if head[at : at + len(magic)] == magic:
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if _PORTABLE.match(head):
        return "image/x-portable-anymap"
    return _icon(head) or _text(head)


def _icon(head: bytes) -> str | None:
    """Return the type of an icon. Its magic is short, so the first directory entry must be plausible as well."""
    kind = {b"\0\0\1\0": "image/vnd.microsoft.icon", b"\0\0\2\0": "image/x-win-bitmap"}.get(head[:4])
    entries, reserved, size = int.from_bytes(head[4:6], "little"), head[9:10], int.from_bytes(head[14:18], "little")
    return kind if 0 < entries <= 1024 and reserved in (b"\0", b"\xff") and size else None


def _brand(head: bytes) -> str:
    """Return the type of an ISO media file by its brands: the major one, then the compatible ones."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    # mif1 and similar brands mean only "some HEIF", and may come before the specific brand
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    kind = _BRANDS.get(brands[0], "video/mp4")
    return (
        "image/heic" if kind == "image/heif" and any(_BRANDS.get(brand) == "image/heic" for brand in brands) else kind
    )


def _text(head: bytes) -> str:
    if not head or _CONTROL.search(head):
        return UNKNOWN
    try:
        # incremental, because the head may end inside a character
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return UNKNOWN
    if match := _MARKUP.match(_skip_prologue(head)):
        return "image/svg+xml" if match[1].lower() == b"svg" else "text/html"
    return "application/xml" if head.lstrip().startswith(b"<?xml") else "text/plain"


def _skip_prologue(head: bytes) -> bytes:
    """Drop comments and declarations before the first element, in one pass: a pattern could backtrack endlessly."""
    rest = head.lstrip()
    while end := next((end for start, end in _PROLOGUE if rest[: len(start)].lower() == start), b""):
        rest = rest.partition(end)[2].lstrip()
    return rest
