"""The file of the scoreboard's marks: the worker of each slot, and its running task. The next supervisor reads it.

It is valid only while the same kernel runs: after a loss of power the disk may hold marks of any earlier moment.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from dtqs.scoreboard import MARK_BYTES, Death, Mark, read_mark
from dtqs.supervisor.machine_boot import machine_boot
from dtqs.uuid7 import is_uuid

logger = logging.getLogger(__name__)
_MAGIC = b"dtqs marks 1\n"
HEAD_BYTES = 64
"""The marks begin here."""
_MOST_FILES = 4
"""Files kept of earlier supervisors: one may have died before its keeper settled the leases of the one before."""
_MOST_BYTES = 1 << 20


def former(folder: Path, own: str = "") -> tuple[Death, ...]:
    """Return the deaths of workers that died with earlier supervisors. Remove all but the newest files.

    The file of the boot id `own` stays, and tells of no death: its workers live.
    """
    try:
        files = [file for file in folder.glob("marks-*") if file.name != f"marks-{own}"]
        files.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files[_MOST_FILES:]:
            file.unlink()
    except OSError as error:
        logger.warning(
            "marks of earlier supervisors cannot be read: each task that they held spends its attempt",
            extra={"reason": str(error)},
        )
        return ()
    return tuple(death for file in files[:_MOST_FILES] for death in _deaths(file))


def make(folder: Path, boot_id: str, slots: int) -> int:
    """Make the file and return its descriptor, or one of mere memory if the folder cannot hold the file."""
    place, size = folder / f"marks-{boot_id}", marks_bytes(slots)
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # without room on the disk, a write to the mapped page would end the writer (SIGBUS)
            os.posix_fallocate(descriptor, 0, size)
            os.pwrite(descriptor, _head(), 0)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        logger.warning(
            "no file for marks: if this supervisor is killed, each task that its workers hold spends its attempt",
            extra={"reason": str(error)},
        )
        return memory("dtqs marks", size)
    return descriptor


def memory(name: str, size: int) -> int:
    """Return a descriptor of zeroed memory. It can be mapped here and in a program that inherits it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(descriptor, size)
    return descriptor


def marks_bytes(slots: int) -> int:
    """Return the size of the file."""
    return HEAD_BYTES + slots * MARK_BYTES


def _deaths(file: Path) -> Iterator[Death]:
    try:
        with open(file, "rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError:
        return
    if content[:HEAD_BYTES] != _head():
        return
    for at in range(HEAD_BYTES, len(content) - MARK_BYTES + 1, MARK_BYTES):
        mark = read_mark(content, at)
        if death := _death(mark):
            yield death


def _death(mark: Mark) -> Death | None:
    """Return the death of the worker, or None if a task has overwritten the mark: then all tasks spend an attempt."""
    if (
        mark.worker_id is None
        or not is_uuid(mark.worker_id)
        or (mark.task_id is not None and not is_uuid(mark.task_id))
    ):
        return None
    idle = mark.task_id is None and not mark.claims
    return Death(mark.worker_id, "its supervisor ended", mark.task_id, idle=idle, blamed=False)


def _head() -> bytes:
    return (_MAGIC + machine_boot().encode()).ljust(HEAD_BYTES, b"\0")[:HEAD_BYTES]
