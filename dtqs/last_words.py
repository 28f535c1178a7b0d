"""Why a child ends, in its own words: shared memory, made before the fork, written by the child and read by its parent after the reaping."""

import mmap

_SIZE = 512


class LastWords:
    """A line of text for each slot."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, slots * _SIZE)

    def clear(self, index: int) -> None:
        """Forget what the child before said."""
        self._memory[index * _SIZE : (index + 1) * _SIZE] = bytes(_SIZE)

    def say(self, index: int, text: str) -> None:
        """Leave one line; what is too long is cut."""
        line = " ".join(text.split()).encode(errors="replace")[: _SIZE - 1].replace(b"\0", b" ")
        self.clear(index)
        self._memory[index * _SIZE : index * _SIZE + len(line)] = line

    def read(self, index: int) -> str:
        """Return what the child said; empty where it said nothing."""
        return self._memory[index * _SIZE : (index + 1) * _SIZE].split(b"\0", 1)[0].decode(errors="ignore")
