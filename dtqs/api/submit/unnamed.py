"""The hash of a body by the content of its uploads; pure. A program that runs again uploads its files again.

Its body then names other uploads. With the same idempotency key it must find the tasks of its first run.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dtqs.files.uri import upload_id

_NAME = re.compile(rb'"[Uu][Pp][Ll][Oo][Aa][Dd]:[^"\\\\]{1,100}"')


@dataclass(slots=True)
class UnnamedBody:
    """The hash of a body without the names of its uploads, and their ids in the order of their first names."""

    hash: bytes
    file_ids: list[str]

    def content_hash(self, sums: Mapping[str, str]) -> bytes:
        """Return the hash with the SHA-256 of each upload; empty if one is missing."""
        found = [sums.get(file_id, "") for file_id in self.file_ids]
        return hashlib.sha256(b"".join([self.hash, *map(str.encode, found)])).digest() if all(found) else b""


def without_names(text: bytes, uris: Collection[str]) -> UnnamedBody:
    """Replace each of these URIs in JSON by the number of its upload, and return the hash."""
    places: dict[str, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        uri = match.group()[1:-1].decode()
        file_id = upload_id(uri) if uri in uris else None
        return match.group() if file_id is None else b'"upload:#%d"' % places.setdefault(file_id, len(places))

    unnamed = _NAME.sub(number, text)
    return UnnamedBody(hashlib.sha256(unnamed).digest(), list(places))
