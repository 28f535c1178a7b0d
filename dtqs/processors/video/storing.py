"""Takes what ffmpeg made in the attempt's folder: files into outputs, texts into the worker's memory."""

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.files.pending import disk_faults
from dtqs.processors.base import Context, Json

_CHUNK_BYTES = 64 << 20
_TEXT_BYTES = 50 << 20
"""A film's own subtitles, which no limit on texts has seen, may come to gigabytes; so may all that an ffmpeg makes which a film has taken over."""
_CANNOT = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""Two file systems, or one that does not know how: told before a byte is copied."""


def store_file(context: Context, path: Path, name: str, media_type: str) -> dict[str, Json]:
    """Store it and remove it from the folder, so that the disk need not hold all of them twice."""
    stored = context.add_output(name, lambda file: _copy(path, file), media_type)
    path.unlink()
    return stored


def read_text(path: Path, what: str) -> str:
    """Read a text that ffmpeg made. Raises PermanentError where that is too much of it."""
    with disk_faults(), path.open("rb") as file:
        data = file.read(_TEXT_BYTES + 1)
    if len(data) > _TEXT_BYTES:
        raise PermanentError(f"{what} come to more than {_TEXT_BYTES} bytes, which is the limit")
    return data.decode("utf-8", "replace")


def _copy(path: Path, target: BinaryIO) -> None:
    with disk_faults(), path.open("rb") as source:
        try:
            # by the kernel, which may share the blocks
            while os.copy_file_range(source.fileno(), target.fileno(), _CHUNK_BYTES):
                pass
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            shutil.copyfileobj(source, target, 1 << 20)
