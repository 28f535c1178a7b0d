"""The media type of a file by its name: the same on every machine and in every version of Python.

A table of our own is asked first. The standard library's lacks most of these types in some versions.
"""

import functools
from mimetypes import MimeTypes
from os.path import splitext

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_OWN = {
    ".docx": f"{_OFFICE}wordprocessingml.document",
    ".dotx": f"{_OFFICE}wordprocessingml.template",
    ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
    ".xltx": f"{_OFFICE}spreadsheetml.template",
    ".pptx": f"{_OFFICE}presentationml.presentation",
    ".ppsx": f"{_OFFICE}presentationml.slideshow",
    ".potx": f"{_OFFICE}presentationml.template",
    ".docm": "application/vnd.ms-word.document.macroEnabled.12",
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    ".xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ".pptm": "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    ".msg": "application/vnd.ms-outlook",
    ".odt": f"{_OPEN}text",
    ".ods": f"{_OPEN}spreadsheet",
    ".odp": f"{_OPEN}presentation",
    ".odg": f"{_OPEN}graphics",
    ".rtf": "application/rtf",
    ".epub": "application/epub+zip",
    ".ics": "text/calendar",
    ".vcf": "text/vcard",
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".pkpass": "application/vnd.apple.pkpass",
    ".pkpasses": "application/vnd.apple.pkpasses",
    ".p7m": "application/pkcs7-mime",
    ".p7s": "application/pkcs7-signature",
    ".7z": "application/x-7z-compressed",
    ".rar": "application/vnd.rar",
    ".zst": "application/zstd",
    ".gpx": "application/gpx+xml",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".m4a": "audio/mp4",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    # mail and uploads have no Content-Encoding, so a reader would take the compressed bytes for what is inside
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".taz": "application/gzip",
    ".tz": "application/gzip",
    ".svgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".tbz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".txz": "application/x-xz",
    ".z": "application/x-compress",
}
_FIRST_ENDINGS = {kind: ending for ending, kind in reversed(_OWN.items())}


def guessed_type(name: str) -> str | None:
    """Return the media type by a name's ending; a compressed file has the type of its compression."""
    ending = splitext(name)[1].lower()
    return _OWN.get(ending) or _standard().types_map[True].get(ending)


def usual_ending(media_type: str) -> str:
    """Return the ending of names of this type, with its dot; empty for an unknown type."""
    return _FIRST_ENDINGS.get(media_type) or _standard().guess_extension(media_type) or ""


@functools.cache
def _standard() -> MimeTypes:
    """Return the standard library's table, without the machine's own files, which differ."""
    return MimeTypes(filenames=())
