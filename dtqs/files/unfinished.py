"""Unfinished uploads of API processes. A process locks its file until it is stored, and a dead one holds no lock.

With object storage the folder may belong to one container, in which no keeper runs.
"""

import fcntl
import os
from pathlib import Path

from dtqs.config import FilesSection
from dtqs.files.scratch import PART, TEMPORARY
from dtqs.files.sweep import entries


def clear(section: FilesSection) -> int:
    """Delete the unfinished uploads of dead API processes, and return their number.

    A folder that holds the stored files is shared with keepers, which do this.
    """
    if section.store != "s3":
        return 0
    return sum(_clear(path) for path in entries(section.directory / TEMPORARY) if PART.fullmatch(path.name))


def _clear(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:  # a living process holds it, or has just finished it
        return 0
    finally:
        os.close(descriptor)
    return 1
