"""Sends the parts of a large file to object storage, several at once. s3.py begins and completes the upload."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO

from dtqs.files.s3_wire import FilePart, Stopped

PART_BYTES = 8 << 20
"""A longer file is sent in parts of this size, or larger if there would be too many parts."""
PARTS_LIMIT = 10_000
LANES = 4
"""Parts that are sent at once. Each holds 256 KiB of the file in memory."""


class PartsUpload:
    """`send` stores one part under its number, and returns the part's tag."""

    def __init__(self, fd: int, size: int, send: Callable[[int, FilePart], str]) -> None:
        self._fd, self._size, self._send = fd, size, send
        self._part_bytes = max(PART_BYTES, -(-size // PARTS_LIMIT))
        self._count = -(-size // self._part_bytes)
        self._tags = [""] * self._count
        self._stop = threading.Event()

    def run(self) -> list[str]:
        """Send all parts; return their tags in order. The first failure stops the others, and is raised."""
        lanes = min(LANES, self._count)
        # an interrupt can leave a lane behind, so each has a descriptor of its own: the owner may close the file
        with ThreadPoolExecutor(lanes, "part") as pool:
            try:
                running = [pool.submit(self._lane, self._reopened(), lane, lanes) for lane in range(lanes)]
                for each in running:
                    each.result()
            except BaseException:
                self._stop.set()
                raise
        return self._tags

    def _reopened(self) -> FileIO:
        return FileIO(os.dup(self._fd))

    def _lane(self, file: FileIO, first: int, step: int) -> None:
        try:
            for index in range(first, self._count, step):
                start = index * self._part_bytes
                part = FilePart(file.fileno(), start, min(self._part_bytes, self._size - start), self._stop)
                self._tags[index] = self._send(index + 1, part)
        except Stopped:
            return  # another lane has failed, and raises
        except BaseException:
            self._stop.set()
            raise
        finally:
            file.close()
