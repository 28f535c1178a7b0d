"""The sources of one task: the video, its watermarks and its subtitles. Each is fetched only once."""

from contextlib import ExitStack
from typing import BinaryIO, Self

from dtqs.processors.base import Context


class Sources:
    """A context manager that closes the files it opened."""

    def __init__(self, context: Context) -> None:
        self._context, self._stack = context, ExitStack()
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, uri: str) -> BinaryIO:
        """Return the open file, at its beginning. Raises InputRefused or FilesUnavailable."""
        if uri not in self._files:
            self._files[uri] = self._stack.enter_context(self._context.open_input(uri))
        self._files[uri].seek(0)
        return self._files[uri]
