"""Reads the structure of a GIF: its parts, their durations, and the number of loops. Pillow decodes each part."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO

from PIL import GifImagePlugin, Image

from dtqs.processors.image.composed import Composed, Dispose, Piece

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_DISPOSE = {2: Dispose.CLEAR, 3: Dispose.RESTORE}


@dataclass(slots=True)
class _Control:
    """The graphic control extension of the following part."""

    dispose: Dispose = Dispose.KEEP
    milliseconds: int = 0
    transparent: int | None = None


@dataclass(frozen=True, slots=True)
class _GifPart:
    """The place of one part's pixels in the file, and the data for decoding it alone."""

    size: tuple[int, int]
    flags: int
    palette: bytes
    transparent: int | None
    start: int
    end: int

    def alone(self, file: IO[bytes]) -> Image.Image:
        """Decode the part from a temporary GIF that contains only this part."""
        if not all(self.size):
            return Image.new("RGBA", self.size)
        if Image.MAX_IMAGE_PIXELS and self.size[0] * self.size[1] > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError(f"a part of {self.size[0]} × {self.size[1]} pixels")
        width, height = (side.to_bytes(2, "little") for side in self.size)
        depth = max(1, (len(self.palette) // 3 - 1).bit_length())
        head = b"GIF89a" + width + height + bytes(((0x80 | (depth - 1)) if self.palette else 0, 0, 0)) + self.palette
        if self.transparent is not None:
            head += bytes((_EXTENSION, _CONTROL, 4, 1, 0, 0, self.transparent, 0))
        head += bytes((_IMAGE, 0, 0, 0, 0)) + width + height + bytes((self.flags & 0x40,))
        file.seek(self.start)
        picture = GifImagePlugin.GifImageFile(io.BytesIO(head + file.read(self.end - self.start) + bytes((_END,))))
        return picture.convert("RGB" if self.transparent is None else "RGBA")


class GifFile(Composed):
    """A GIF. Pixels that its first part does not cover are transparent."""

    format = "GIF"
    stored_mode = "P"

    def read_pieces(self) -> Sequence[Piece]:
        file = self.fp
        assert file is not None
        head = file.read(13)
        if len(head) < 13:
            raise EOFError("the header is cut off")
        screen = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        shared = _palette(file, head[10])
        pieces: list[Piece] = []
        parts: list[_GifPart] = []
        control = _Control()
        while (kind := file.read(1)) and kind[0] != _END:
            if kind[0] == _EXTENSION:
                self._extension(file, control)
            elif kind[0] == _IMAGE:
                corner, part = _read_part(file, shared, control)
                parts.append(part)
                decode = partial(part.alone, file)
                pieces.append(Piece(*corner, control.milliseconds, control.dispose, over=True, decode=decode))
                control = _Control()
        if not pieces:
            raise EOFError("the file contains no image")
        first, at = parts[0], (pieces[0].left, pieces[0].top)
        # browsers, too, show the first part whole if the screen is too small for it
        self._size = max(screen[0], at[0] + first.size[0]), max(screen[1], at[1] + first.size[1])
        self.opaque = at == (0, 0) and first.size == self._size and first.transparent is None
        self.opaque &= all(piece.dispose is not Dispose.CLEAR for piece in pieces[:-1])
        self.opaque &= len(pieces) == 1 or pieces[0].dispose is Dispose.KEEP
        self.info["duration"] = pieces[0].milliseconds
        return pieces

    def _extension(self, file: IO[bytes], control: _Control) -> None:
        label = file.read(1)
        block = _block(file)
        if label == bytes((_CONTROL,)) and len(block) >= 4:
            control.dispose = _DISPOSE.get(block[0] >> 2 & 7, Dispose.KEEP)
            control.milliseconds = int.from_bytes(block[1:3], "little") * 10
            control.transparent = block[3] if block[0] & 1 else None
        elif label == bytes((_APPLICATION,)) and block.startswith(_LOOPING):
            block = _block(file)
            if len(block) >= 3 and block[0] == 1:
                self.info["loop"] = int.from_bytes(block[1:3], "little")
        while block:
            block = _block(file)


def _read_part(file: IO[bytes], shared: bytes, control: _Control) -> tuple[tuple[int, int], _GifPart]:
    head = file.read(9)
    if len(head) < 9:
        raise EOFError("a part's header is cut off")
    left, top, width, height = (int.from_bytes(head[at : at + 2], "little") for at in (0, 2, 4, 6))
    palette = _palette(file, head[8]) or shared
    start = file.tell()
    file.read(1)
    while size := file.read(1):
        if not size[0]:
            break
        file.seek(size[0], io.SEEK_CUR)
    return (left, top), _GifPart((width, height), head[8], palette, control.transparent, start, file.tell())


def _palette(file: IO[bytes], flags: int) -> bytes:
    return file.read(3 << ((flags & 7) + 1)) if flags & 0x80 else b""


def _block(file: IO[bytes]) -> bytes:
    size = file.read(1)
    return file.read(size[0]) if size else b""
