"""Why a child ends, in its own words: one line per slot, in shared memory that is made before the fork.

The child writes its line, and its parent reads it after the reaping. A note of any length lies behind the lines.
"""

import mmap

_SIZE = 512
LINE_BYTES = _SIZE - 1
"""The most bytes of a line."""


class LastWords:
    """One line of text for each slot."""

    def __init__(self, slots: int, memory: mmap.mmap | None = None) -> None:
        self._memory = memory or mmap.mmap(-1, words_bytes(slots))

    def clear(self, index: int) -> None:
        """Erase the line of the previous child."""
        self._memory[index * _SIZE : (index + 1) * _SIZE] = bytes(_SIZE)

    def say(self, index: int, text: str) -> None:
        """Write one line; a long one is cut."""
        line = _line(text)[:LINE_BYTES]
        self.clear(index)
        self._memory[index * _SIZE : index * _SIZE + len(line)] = line

    def read(self, index: int) -> str:
        """Return the child's line, or an empty text if it wrote none."""
        return self._memory[index * _SIZE : (index + 1) * _SIZE].split(b"\0", 1)[0].decode(errors="ignore")


class Note:
    """One line behind the lines of the slots, with all the memory that follows them."""

    def __init__(self, slots: int, memory: mmap.mmap) -> None:
        self._memory, self._start = memory, words_bytes(slots)

    def clear(self) -> None:
        self._memory[self._start :] = bytes(len(self._memory) - self._start)

    def say(self, text: str) -> None:
        """Write the line, in one copy. One without room is cut, so its reader must notice a part that is missing."""
        line = _line(text)[: len(self._memory) - self._start - 1] + b"\0"
        self._memory[self._start : self._start + len(line)] = line

    def read(self) -> str:
        """Return the line, or an empty text before the first one."""
        return self._memory[self._start :].split(b"\0", 1)[0].decode(errors="ignore")


def _line(text: str) -> bytes:
    return " ".join(text.split()).encode(errors="replace").replace(b"\0", b" ")


def words_bytes(slots: int) -> int:
    """Return the size of the memory for this many slots."""
    return slots * _SIZE
