"""Animations whose frames are parts of a canvas (GIF, APNG), composed as browsers do, one frame at a time.

Pixels that no frame has painted are transparent. gif.py and png.py find the parts in a file.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile


class Dispose(Enum):
    """The treatment of a part before the next one is painted."""

    KEEP = 0
    CLEAR = 1
    RESTORE = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of an animation; `decode` returns its pixels."""

    left: int
    top: int
    milliseconds: float
    dispose: Dispose
    over: bool
    """Whether the part is blended over the canvas; if not, it replaces the canvas with its own alpha."""
    decode: Callable[[], Image.Image]
    is_default_image: bool = False
    """Whether the part is a still image before the animation, and not one of its frames."""


class Composed(ImageFile):
    """Composes frames when they are loaded. It holds only the canvas, and the area to restore."""

    stored_mode = "RGBA"
    """The mode of the file's own pixels."""
    opaque = False
    """Whether no pixel of any frame can be transparent."""

    def _open(self) -> None:
        self._next, self._wanted = 0, 0
        self.pieces = self.read_pieces()
        self._mode = "RGB" if self.opaque else "RGBA"
        self.tile = []
        if self.pieces[0].is_default_image:
            self.info["default_image"] = True

    @abstractmethod
    def read_pieces(self) -> Sequence[Piece]:
        """Read the file's structure; set the size, `info`, `stored_mode` and `opaque`. Raises like Pillow's readers."""

    @property
    def n_frames(self) -> int:
        return len(self.pieces)

    @property
    def is_animated(self) -> bool:
        return len(self.pieces) > 1

    def tell(self) -> int:
        return self._wanted

    def seek(self, frame: int) -> None:
        if not 0 <= frame < len(self.pieces):
            raise EOFError("no more frames")
        self._wanted = frame
        self.info["duration"] = self.pieces[frame].milliseconds

    def load(self) -> Any:
        """Compose up to the wanted frame, restarting for an earlier one. The next frame changes its pixels."""
        if self._next > self._wanted + 1:
            self._next = 0
        while self._next <= self._wanted:
            if self._next == 0 or self.pieces[self._next - 1].is_default_image:
                self._canvas, self._restore = Image.new(self._mode, self.size), _nothing
            self._restore()
            self._restore = self._paint(self.pieces[self._next])
            self._next += 1
        self.im = self._canvas.im
        return Image.Image.load(self)

    def _paint(self, piece: Piece) -> Callable[[], None]:
        """Paint the visible area of a part; return the function that disposes of it."""
        part, canvas, corner = piece.decode(), self._canvas, (piece.left, piece.top)
        size = max(0, min(part.width, self.width - piece.left)), max(0, min(part.height, self.height - piece.top))
        if not all(size):
            return _nothing
        part = part if part.size == size else part.crop((0, 0, *size))
        under = (
            canvas.crop((*corner, piece.left + size[0], piece.top + size[1]))
            if piece.dispose is Dispose.RESTORE
            else None
        )
        if not piece.over or "A" not in part.mode:
            canvas.paste(part.convert(self._mode), corner)
        elif self._mode == "RGBA":
            canvas.alpha_composite(part.convert("RGBA"), corner)
        else:
            canvas.paste(part.convert("RGB"), corner, part.getchannel("A"))
        if piece.dispose is Dispose.KEEP:
            return _nothing
        return lambda: canvas.paste(under or Image.new(self._mode, size), corner)


def _nothing() -> None:
    """Leave the canvas unchanged."""
