"""The identity of this node: a UUID in a file of the state folder, locked for the supervisor's life. Two supervisors on one host are two nodes.

The lock says that earlier workers under this identity are gone. A copy has a lock of its own, so an identity holds only where, and while, it was made.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import uuid
from pathlib import Path
from types import TracebackType

from dtqs.errors import DtqsError
from dtqs.uuid7 import is_uuid

logger = logging.getLogger(__name__)
_KERNEL = Path("/proc/sys/kernel/random/boot_id")
MOST_NODES = 64
"""Supervisors that one state folder serves at the same time."""


class StateFolderUnusable(DtqsError):
    """The state folder cannot hold this node's identity; `exit_status` says which way."""

    def __init__(self, folder: Path, reason: str, exit_status: int) -> None:
        self.folder, self.exit_status = folder, exit_status
        super().__init__(
            f"[supervisor] state_dir = {folder}: {reason}; allowed: a folder in which the supervisor may create files"
        )


class NodeLock:
    """The first identity below the folder that no living supervisor holds: `node-0/id`, `node-1/id`, …

    The kernel drops the lock with the last copy of its descriptor, so a killed supervisor leaves its identity to the next one.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir
        self._descriptor = -1
        self._node_id = ""
        self._held = state_dir

    @property
    def node_id(self) -> str:
        """The identity, while it is held."""
        return self._node_id

    @property
    def folder(self) -> Path:
        """The folder of the identity that is held: what lies in it is this node's alone."""
        return self._held

    def acquire(self) -> str:
        """Take an identity, made anew where there is none to take, and return it. Safe to call twice. Raises StateFolderUnusable."""
        if self._descriptor >= 0:
            return self._node_id
        try:
            # its parent must be there: a mistyped path is no place for an identity
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for number in range(MOST_NODES):
                if self._take(self._folder / f"node-{number}"):
                    return self._node_id
        except (FileNotFoundError, NotADirectoryError, FileExistsError) as error:
            raise StateFolderUnusable(self._folder, f"no such folder ({error.strerror})", os.EX_CONFIG) from error
        except OSError as error:
            raise StateFolderUnusable(
                self._folder, f"{error.strerror}: {error.filename or self._folder}", os.EX_CANTCREAT
            ) from error
        raise StateFolderUnusable(
            self._folder, f"all {MOST_NODES} identities are held by running supervisors", os.EX_CANTCREAT
        )

    def release(self) -> None:
        """Close our copy of the descriptor. Safe to call twice; a fresh child calls it on its own copy, which leaves the lock with its parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "NodeLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, place: Path) -> bool:
        place.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(place / "id", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._node_id = _read_or_make(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._held = descriptor, place
        return True


def _read_or_make(descriptor: int) -> str:
    known, _, mark = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip().partition("\n")
    here = _mark(descriptor)
    if is_uuid(known) and mark == here:
        return known
    # empty, or torn by a crash of the machine: nobody can have worked under it
    fresh = str(uuid.uuid4())
    if is_uuid(known):
        # workers of the original may live: nobody here may say that they are gone
        logger.warning(
            "new identity: the machine has started anew, or this state folder is a copy",
            extra={"node_id": fresh, "before": known},
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{fresh}\n{here}\n".encode(), 0)
    os.fsync(descriptor)
    return fresh


def _mark(descriptor: int) -> str:
    """Return what no copy of this file has: the run of the kernel that holds its lock, and its place on the disk.

    A cloned disk has the same places, but is read by another kernel. /etc/machine-id would tell neither clones nor containers apart.
    """
    with contextlib.suppress(OSError):
        kernel = _KERNEL.read_text(encoding="ascii").strip()
        place = os.fstat(descriptor)
        return hashlib.sha256(f"{kernel} {place.st_dev} {place.st_ino}".encode()).hexdigest()
    return "unknown"
