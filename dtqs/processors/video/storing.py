"""Move ffmpeg's files from the attempt's folder: into outputs, or as text into memory."""

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
"""A video's own subtitles have no other limit and may be gigabytes long. An ffmpeg that a hostile video controls may
write any amount."""
_COPY_UNSUPPORTED = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""Two file systems, or one without copy_file_range. The call fails before it copies a byte."""


def store_file(context: Context, path: Path, name: str, media_type: str) -> dict[str, Json]:
    """Store a file and remove it from the folder, so that the disk does not hold all files twice."""
    stored = context.add_output(name, lambda file: _copy(path, file), media_type)
    path.unlink()
    return stored


def read_text(path: Path, title: str) -> str:
    """Read a text that ffmpeg wrote. Raises PermanentError, with this title, if it is too long."""
    with disk_faults(), path.open("rb") as file:
        data = file.read(_TEXT_BYTES + 1)
    if len(data) > _TEXT_BYTES:
        raise PermanentError(f"{title} are longer than {_TEXT_BYTES} bytes, the limit")
    return data.decode("utf-8", "replace")


def _copy(path: Path, target: BinaryIO) -> None:
    with disk_faults(), path.open("rb") as source:
        try:
            # the kernel copies, and may share the blocks
            while os.copy_file_range(source.fileno(), target.fileno(), _CHUNK_BYTES):
                pass
        except OSError as error:
            if error.errno not in _COPY_UNSUPPORTED:
                raise
            shutil.copyfileobj(source, target, 1 << 20)
