"""Reads the chunks of a PNG before Pillow does, and leaves out broken ones that are not needed.

A broken critical chunk makes the image broken. Any other broken chunk is only dropped.
"""

import io
import zlib
from dataclasses import dataclass, field, replace
from typing import IO

MAGIC = b"\x89PNG\r\n\x1a\n"
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
KEY_BYTES = {0: 2, 2: 6}
"""Length of the transparent colour, by colour type."""
_SHORTEST = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"cICP": 4, b"acTL": 8, b"fcTL": 26, b"fdAT": 4}
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_KEPT_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type ")
_TEXT_LIMIT = 1 << 20
"""Pillow refuses an image with a longer text or profile."""
_PROFILE_LIMIT = 8 << 20
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: the place of its data, and whether it is complete with a correct checksum."""

    kind: bytes
    start: int
    size: int
    whole: bool

    def read(self, file: IO[bytes]) -> bytes:
        file.seek(self.start)
        return file.read(self.size)


@dataclass(slots=True)
class Structure:
    """The parts of a PNG."""

    header: bytes
    chunks: list[Chunk] = field(default_factory=list)
    dropped: bool = False
    profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        return int.from_bytes(self.header[:4], "big"), int.from_bytes(self.header[4:8], "big")

    @property
    def depth(self) -> int:
        return self.header[8]

    @property
    def colour(self) -> int:
        return self.header[9]

    def read(self, file: IO[bytes], kind: bytes) -> bytes | None:
        """Return the data of the first chunk of a kind."""
        return next((chunk.read(file) for chunk in self.chunks if chunk.kind == kind), None)


def read_structure(file: IO[bytes]) -> Structure:
    """Read the list of chunks. Raises SyntaxError if a critical one is broken."""
    if file.read(8) != MAGIC:
        raise SyntaxError("no PNG signature")
    structure: Structure | None = None
    while head := file.read(8):
        if len(head) < 8:
            break
        chunk = _chunk(file, head)
        critical = not head[4] & 0x20
        if structure is None:
            if chunk.kind != b"IHDR" or chunk.size < 13 or not chunk.whole:
                raise SyntaxError("the header is broken")
            structure = Structure(chunk.read(file))
            file.seek(chunk.start + chunk.size + 4)
        if critical and not chunk.whole and not _cut_off(file, chunk):
            raise SyntaxError(f"the checksum of a {chunk.kind.decode('latin-1')} chunk is wrong")
        if chunk.whole and not _fits(chunk, structure, file):
            chunk = replace(chunk, whole=False)
        if chunk.whole or critical:
            structure.chunks.append(chunk)
        structure.dropped |= not chunk.whole and not critical
        if chunk.kind == b"IEND":
            break
        file.seek(chunk.start + chunk.size + 4)
    if structure is None:
        raise SyntaxError("the header is missing")
    return structure


def _chunk(file: IO[bytes], head: bytes) -> Chunk:
    size, kind, start = int.from_bytes(head[:4], "big"), head[4:], file.tell()
    checksum, left = zlib.crc32(kind), size
    while left and (block := file.read(min(left, _BLOCK_BYTES))):
        checksum, left = zlib.crc32(block, checksum), left - len(block)
    return Chunk(kind, start, size, file.read(4) == checksum.to_bytes(4, "big"))


def _cut_off(file: IO[bytes], chunk: Chunk) -> bool:
    """Tell whether the file ends inside the chunk; the decoder then reports how much is missing."""
    return file.seek(0, io.SEEK_END) < chunk.start + chunk.size + 4


def _fits(chunk: Chunk, structure: Structure, file: IO[bytes]) -> bool:
    """Tell whether Pillow can read the chunk; if not, only the chunk is dropped."""
    kind = chunk.kind
    if kind == b"tRNS":
        return chunk.size >= KEY_BYTES.get(structure.colour, 0)
    if kind == b"iCCP":
        return _profile(chunk.read(file), structure)
    if kind in _TEXTS:
        return _text(chunk, file)
    return chunk.size >= _SHORTEST.get(kind, 0)


def _profile(data: bytes, structure: Structure) -> bool:
    """Keep the profile, even if it is too long for Pillow; tell whether Pillow can read it as well."""
    _, found, packed = data.partition(b"\0")
    if not found or packed[:1] != b"\0":
        return False
    try:
        unpacked = zlib.decompressobj()
        structure.profile = unpacked.decompress(packed[1:], _PROFILE_LIMIT)
    except zlib.error:
        return False
    if unpacked.unconsumed_tail:
        structure.profile = None
    return len(structure.profile or b"") < _TEXT_LIMIT and structure.profile is not None


def _text(chunk: Chunk, file: IO[bytes]) -> bool:
    """Tell whether a text is kept: only texts with EXIF or XMP are."""
    data = chunk.read(file)
    if not data.startswith(_KEPT_TEXTS) or len(data) > _TEXT_LIMIT:
        return False
    try:
        unpacked = zlib.decompressobj()
        unpacked.decompress(_packed(chunk.kind, data.partition(b"\0")[2]), _TEXT_LIMIT)
    except zlib.error:
        return False
    return not unpacked.unconsumed_tail


def _packed(kind: bytes, data: bytes) -> bytes:
    """Return the compressed text that follows a keyword, or nothing if the text is not compressed."""
    if kind == b"zTXt":
        return data[1:]  # after the method
    is_compressed = kind == b"iTXt" and data[:1] not in (b"", b"\0")
    # flag and method, then language and translated keyword, each with its NUL
    return data[2:].partition(b"\0")[2].partition(b"\0")[2] if is_compressed else b""


def rewritten(file: IO[bytes], structure: Structure) -> IO[bytes]:
    """Return the PNG without the dropped chunks."""
    made = io.BytesIO()
    made.write(MAGIC)
    for chunk in structure.chunks:
        data = chunk.read(file)
        made.write(
            framed(chunk.kind, data) if len(data) == chunk.size else chunk.size.to_bytes(4, "big") + chunk.kind + data
        )
    made.seek(0)
    return made


def framed(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "big")
