"""A second, independent view of an open file. It does not open the file again, which the jail would refuse."""

import io
import os
from typing import Any, BinaryIO


def beside(file: BinaryIO) -> BinaryIO:
    """Return a reader of the same file with its own position. The first file must stay open meanwhile."""
    return io.BufferedReader(_Beside(file.fileno()))


class _Beside(io.RawIOBase):
    """Hides the file's descriptor from libraries in C, which would move the shared position."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd, self._at = fd, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = os.preadv(self._fd, [buffer], self._at)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: os.fstat(self._fd).st_size}[whence]
        if begin + offset < 0:
            raise OSError("a position before the beginning")
        self._at = begin + offset
        return self._at
