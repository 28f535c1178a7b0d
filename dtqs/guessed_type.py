"""The media type of a file by its name."""

_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
}


def guessed_type(guess: tuple[str | None, str | None]) -> str | None:
    """Return the media type from a result of `guess_type`; a compressed file has the type of its compression."""
    inside, compression = guess
    # mail and uploads have no Content-Encoding, so a reader would take the compressed bytes for what is inside
    return _COMPRESSED.get(compression) if compression else inside
