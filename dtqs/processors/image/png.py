"""Opens a PNG, or an APNG by its parts. Pillow decodes only the chunks that png_chunks.py lets through."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile

from dtqs.processors.image.colour import scalable
from dtqs.processors.image.composed import Composed, Dispose, Piece
from dtqs.processors.image.png_chunks import (
    ANIMATION,
    KEY_BYTES,
    MAGIC,
    Chunk,
    Structure,
    framed,
    read_structure,
    rewritten,
)

_SHARED = frozenset({b"PLTE", b"tRNS"})
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_GREY = 0


def open_png(file: IO[bytes]) -> ImageFile:
    """Open a PNG or an APNG."""
    structure = read_structure(file)
    parts = _parts(structure, file)
    if parts:
        image: ImageFile = _Apng(file, structure, parts)
    else:
        structure.dropped |= any(chunk.kind in ANIMATION for chunk in structure.chunks)
        structure.chunks = [chunk for chunk in structure.chunks if chunk.kind not in ANIMATION]
        file.seek(0)
        image = _Still(rewritten(file, structure) if structure.dropped else file, structure)
    if structure.profile:
        image.info["icc_profile"] = structure.profile
    if code := structure.read(file, b"cICP"):
        image.info["cicp"] = tuple(code[:4])
        image.info.pop("icc_profile", None)  # it is for readers that do not know the code points
    return image


class _Still(PngImageFile):
    """A PNG with a single image."""

    def __init__(self, file: IO[bytes], structure: Structure) -> None:
        self._structure, self._source = structure, file
        super().__init__(file)
        key = self.info.get("transparency")
        if structure.colour == _GREY and structure.depth in (2, 4) and isinstance(key, int):
            # Pillow scales the pixels to 8 bits, but not the transparent colour
            self.info["transparency"] = key * 255 // ((1 << structure.depth) - 1)

    def load(self) -> Any:
        """Decode. A 16-bit image with a transparent colour gets its alpha first, before its low bits are dropped."""
        wide = self._structure.depth == 16 and self._structure.colour in KEY_BYTES
        if self.tile and wide and "transparency" in self.info:
            key = self.info.pop("transparency")
            made = self._keyed(key if isinstance(key, tuple) else (key,))
            self._im, self._mode, self.tile = made.im, made.mode, []
        return super().load()

    def _keyed(self, key: tuple[int, ...]) -> Image.Image:
        """Return 8-bit pixels with alpha. Pillow has no 16-bit colours, but can read their high and low bytes."""
        high, low = (self._half(raw) for raw in (("L;16B", "L;16") if len(key) == 1 else ("RGB;16B", "RGB;16L")))
        mask = Image.new("L", self.size, 255)
        for half, shift in ((high, 8), (low, 0)):
            for channel, value in zip(half.split(), key, strict=True):
                wanted = value >> shift & 255
                mask = ImageChops.darker(mask, channel.point([255 if level == wanted else 0 for level in range(256)]))
        made = high.convert("LA" if len(key) == 1 else "RGBA")
        made.putalpha(ImageChops.invert(mask))
        return made

    def _half(self, raw: str) -> Image.Image:
        self._source.seek(0)
        half = PngImageFile(self._source)
        half._mode = raw.partition(";")[0]
        half.tile = [tile._replace(args=raw) for tile in half.tile]
        half.load()
        return half


@dataclass(frozen=True, slots=True)
class _ApngPart:
    """One part of an APNG: its size, and the chunks of its pixels."""

    size: tuple[int, int]
    data: Sequence[Chunk]
    skipped: int
    """Bytes before the pixels in each chunk."""

    def alone(self, file: IO[bytes], structure: Structure) -> Image.Image:
        """Decode the part from a temporary PNG that contains only this part."""
        header = b"".join(side.to_bytes(4, "big") for side in self.size) + structure.header[8:]
        chunks = [(b"IHDR", header)] + [
            (chunk.kind, chunk.read(file)) for chunk in structure.chunks if chunk.kind in _SHARED
        ]
        chunks += [(b"IDAT", chunk.read(file)[self.skipped :]) for chunk in self.data] + [(b"IEND", b"")]
        picture = _Still(io.BytesIO(MAGIC + b"".join(framed(*chunk) for chunk in chunks)), structure)
        picture.load()
        return scalable(picture)


class _Apng(Composed):
    """An APNG. Pixels that no part has painted are transparent."""

    format = "PNG"

    def __init__(self, file: IO[bytes], structure: Structure, parts: Sequence[tuple[bytes, _ApngPart]]) -> None:
        self._structure, self._parts = structure, parts
        super().__init__(file)

    def read_pieces(self) -> Sequence[Piece]:
        structure, file = self._structure, self.fp
        assert file is not None
        self._size = int.from_bytes(structure.header[:4], "big"), int.from_bytes(structure.header[4:8], "big")
        self.stored_mode = _MODES.get(structure.colour, "RGB")
        keyed = any(chunk.kind == b"tRNS" for chunk in structure.chunks)
        if keyed:
            self.info["transparency"] = True
        if exif := structure.read(file, b"eXIf"):
            self.info["exif"] = b"Exif\0\0" + exif
        self.info["loop"] = int.from_bytes((structure.read(file, b"acTL") or bytes(8))[4:8], "big")
        pieces = [_piece(control, part, file, structure) for control, part in self._parts]
        self.info["duration"] = pieces[0].milliseconds
        clears = (
            any(piece.dispose is Dispose.CLEAR for piece in pieces[:-1])
            or pieces[int(pieces[0].is_default_image)].dispose is Dispose.RESTORE
        )
        covered = next((part.size == self._size for control, part in self._parts if control), False)
        self.opaque = not keyed and structure.colour in (0, 2, 3) and not clears and covered
        return pieces


def _piece(control: bytes, part: _ApngPart, file: IO[bytes], structure: Structure) -> Piece:
    def decode() -> Image.Image:
        return part.alone(file, structure)

    if not control:
        return Piece(0, 0, 0, Dispose.KEEP, False, decode, is_default_image=True)
    left, top = (int.from_bytes(control[at : at + 4], "big") for at in (12, 16))
    counter, divisor = (int.from_bytes(control[at : at + 2], "big") for at in (20, 22))
    dispose = {1: Dispose.CLEAR, 2: Dispose.RESTORE}.get(control[24], Dispose.KEEP)
    return Piece(left, top, 1000 * counter / (divisor or 100), dispose, control[25] == 1, decode)


def _parts(structure: Structure, file: IO[bytes]) -> list[tuple[bytes, _ApngPart]]:
    """Return the parts of an APNG with their controls; nothing if it is not one, or its animation is broken."""
    if not any(chunk.kind == b"acTL" for chunk in structure.chunks) or not _in_sequence(structure, file):
        return []
    controls: list[tuple[bytes, list[Chunk]]] = []
    for chunk in structure.chunks:
        if chunk.kind == b"fcTL":
            controls.append((chunk.read(file), []))
        elif controls and (chunk.kind == b"fdAT" or (chunk.kind == b"IDAT" and len(controls) == 1)):
            controls[-1][1].append(chunk)
    found = []
    for control, data in controls:
        left, top, width, height = (int.from_bytes(control[at : at + 4], "big") for at in (12, 16, 4, 8))
        if not (data and width and height and left + width <= structure.size[0] and top + height <= structure.size[1]):
            return []
        found.append((control, _ApngPart((width, height), data, 4 if data[0].kind == b"fdAT" else 0)))
    still = [chunk for chunk in structure.chunks if chunk.kind == b"IDAT"]
    default = [(b"", _ApngPart(structure.size, still, 0))] if found and found[0][1].skipped and still else []
    return default + found


def _in_sequence(structure: Structure, file: IO[bytes]) -> bool:
    """Tell whether the chunks of an animation are complete, by their numbers; if not, only the still image is used."""
    numbers = []
    for chunk in structure.chunks:
        if chunk.kind in (b"fcTL", b"fdAT"):
            file.seek(chunk.start)
            numbers.append(int.from_bytes(file.read(4), "big"))
    return numbers == list(range(len(numbers)))
