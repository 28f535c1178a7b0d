"""Deletes unknown files: stored ones without a row, and old temporary ones. Each call does a bounded part.

leftovers.py judges the folders of workers, by the worker and not by age.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import islice
from pathlib import Path

from dtqs.files.scratch import is_temporary
from dtqs.uuid7 import is_uuid

_ASK_AT_ONCE = 500
_SHARD = re.compile("[0-9a-f]{2}")


class Sweeper:
    """Walks the folders of one file space in rounds. Each call continues where the last one ended."""

    def __init__(self, directory: Path, temporary: Path) -> None:
        self._directory, self._temporary = directory, temporary
        self._walk = self._round()

    def sweep(self, keep: Callable[[Sequence[str]], Container[str]], older_than_seconds: float, limit: int) -> int:
        """Delete old files that are not kept; look at up to `limit` temporary files, and as many stored ones."""
        before = time.time() - older_than_seconds
        temporary = (path for path in entries(self._temporary) if is_temporary(path.name))
        gone = sum(delete(path) for path in islice(temporary, limit) if newest(path) < before)
        looked_at = list(islice(self._walk, limit))
        if len(looked_at) < limit:
            self._walk = self._round()
        old = [path for path in looked_at if _is_stored(path) and newest(path) < before]
        for at in range(0, len(old), _ASK_AT_ONCE):
            some = old[at : at + _ASK_AT_ONCE]
            known = keep([path.name for path in some])
            gone += sum(delete(path) for path in some if path.name not in known)
        return gone

    def _round(self) -> Iterator[Path]:
        """Yield every folder and file once; folders count as work, so that empty ones do not make a call endless."""
        for first in _shards(self._directory):
            yield first
            for second in _shards(first):
                yield second
                yield from entries(second)


def _is_stored(path: Path) -> bool:
    """Tell whether a file has the name and the folders that LocalStore gives."""
    place = (path.parent.parent.name, path.parent.name)
    return is_uuid(path.name) and place == (path.name[-4:-2], path.name[-2:])


def _shards(folder: Path) -> Iterator[Path]:
    return (path for path in entries(folder) if _SHARD.fullmatch(path.name))


def entries(folder: Path) -> Iterator[Path]:
    """Yield the entries of a folder; nothing if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (folder / name for name in names)


def newest(path: Path) -> float:
    """Return the last write to the file, or to anything in the folder: a folder's own time omits those to its files."""
    try:
        times = [path.lstat().st_mtime]
        if path.is_dir() and not path.is_symlink():
            times += [
                os.lstat(os.path.join(folder, name)).st_mtime for folder, _, names in os.walk(path) for name in names
            ]
    except FileNotFoundError:
        return float("inf")
    return max(times)


def delete(path: Path) -> int:
    """Delete a file, or a folder with its content; return the number of deleted entries, 0 or 1."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return int(not path.exists())
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    return 1
