"""One upload on its way to the disk. Each step runs in a thread, since a network disk may not answer for minutes."""

from dtqs.api.http.disk import FileThreads
from dtqs.errors import FilesUnavailable
from dtqs.files import FileSpace, PendingFile


class IncomingFile:
    """The file begins with its first piece: to open and to write it takes one step."""

    def __init__(self, space: FileSpace, threads: FileThreads) -> None:
        self._space, self._threads = space, threads
        self._pending: PendingFile | None = None

    @property
    def size_bytes(self) -> int:
        return self._pending.size_bytes if self._pending else 0

    def write(self, piece: bytes) -> None:
        """Append a piece. Raises TooLarge, FilesUnavailable."""
        self._threads.run(self._append, piece)

    def commit(self) -> tuple[str, int, str, str]:
        """Make the file durable. Return its id, size, SHA-256 and media type. Raises FilesUnavailable.

        A commit over the network lets other requests run.
        """
        if not self._space.over_network:
            return self._threads.run(self._committed)
        if self._pending is None:
            self._threads.run(self._append, b"")
        return self._committed()

    def close(self) -> None:
        """Remove an unfinished file. Safe to call twice. If all threads stall, it is removed when the disk answers."""
        if self._pending is not None:
            try:
                self._threads.run(self._pending.abort)
            except FilesUnavailable:
                self._threads.later(self._pending.abort)

    def _append(self, piece: bytes) -> None:
        self._space.free.require(len(piece))
        if self._pending is None:
            self._pending = self._space.new_upload()
        self._pending.write(piece)

    def _committed(self) -> tuple[str, int, str, str]:
        if self._pending is None:
            self._append(b"")
        pending = self._pending
        assert pending is not None
        done = pending.commit()
        if not self._space.over_network:
            pending.abort()
            self._pending = None
        return *done, pending.media_type
