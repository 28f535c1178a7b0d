"""Animations whose frames are parts of a canvas (GIF, APNG): composed as browsers do it, one frame at a time.

Pixels that no frame has painted are transparent. gif.py and png.py know where the parts of a file lie.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile


class Dispose(Enum):
    """The fate of a part before the next one is painted."""

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
    """Painted over what is there; else it replaces it, with its transparent pixels."""
    decode: Callable[[], Image.Image]
    apart: bool = False
    """A picture that stands before the animation and is no part of it."""


class Composed(ImageFile):
    """Frames are composed when they are loaded; only the canvas, and what is to be restored, is held."""

    stored_mode = "RGBA"
    """How the file stores its pixels."""
    opaque = False
    """No pixel of any frame can be transparent."""

    def _open(self) -> None:
        self._next, self._wanted = 0, 0
        self.pieces = self.read_pieces()
        self._mode = "RGB" if self.opaque else "RGBA"
        self.tile = []
        if self.pieces[0].apart:
            self.info["default_image"] = True

    @abstractmethod
    def read_pieces(self) -> Sequence[Piece]:
        """Read the file's structure; set the size, `info`, `stored_mode` and `opaque`. Raises what Pillow's readers do."""

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
        """Compose up to the frame that is wanted, from the start where it lies behind. The next frame changes its pixels."""
        if self._next > self._wanted + 1:
            self._next = 0
        while self._next <= self._wanted:
            if self._next == 0 or self.pieces[self._next - 1].apart:
                self._canvas, self._restore = Image.new(self._mode, self.size), _nothing
            self._restore()
            self._restore = self._paint(self.pieces[self._next])
            self._next += 1
        self.im = self._canvas.im
        return Image.Image.load(self)

    def _paint(self, piece: Piece) -> Callable[[], None]:
        """Paint a part, as far as it lies on the canvas; return what disposes of it."""
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
    """Leave the canvas as it is."""
