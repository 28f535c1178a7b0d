"""The identity of this node: a UUID in a file of the state folder, locked while the supervisor lives.

Two supervisors on one host are two nodes. The lock proves that earlier workers under this identity have ended.
A copy of the file has a lock of its own, so an identity is valid only for its original file and kernel.
"""

import fcntl
import hashlib
import logging
import os
import stat
import uuid
from pathlib import Path
from types import TracebackType

from dtqs.errors import DtqsError
from dtqs.supervisor.machine_boot import machine_boot
from dtqs.trust import why_foreign
from dtqs.uuid7 import is_uuid

logger = logging.getLogger(__name__)
MOST_NODES = 64
"""Supervisors that can use one state folder at the same time."""


class StateFolderUnusable(DtqsError):
    """The state folder cannot hold the identity. `exit_status` tells a wrong setting from a lack of space or rights."""

    def __init__(self, folder: Path, reason: str, exit_status: int) -> None:
        self.folder, self.exit_status = folder, exit_status
        super().__init__(
            f"[supervisor] state_dir = {folder}: {reason}; allowed: a folder in which the supervisor may create files"
        )


class NodeLock:
    """The first identity in the folder that no living supervisor holds: `node-0/id`, `node-1/id`, …

    The kernel drops the lock with the last copy of its descriptor, so the next supervisor gets a killed one's identity.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir
        self._descriptor = -1
        self._node_id = ""
        self._held = state_dir

    @classmethod
    def adopted(cls, folder: Path, descriptor: int, node_id: str) -> "NodeLock":
        """Return the held lock of the program before this one in the same process."""
        lock = cls(folder.parent)
        lock._descriptor, lock._held, lock._node_id = descriptor, folder, node_id
        return lock

    @property
    def descriptor(self) -> int:
        """The open file with the lock, while it is held."""
        return self._descriptor

    @property
    def node_id(self) -> str:
        """The identity, while it is held."""
        return self._node_id

    @property
    def folder(self) -> Path:
        """The folder of the held identity. Only this node uses the files in it."""
        return self._held

    def acquire(self) -> str:
        """Take a free identity, or make one, and return it. Safe to call twice. Raises StateFolderUnusable."""
        if self._descriptor >= 0:
            return self._node_id
        try:
            # only the last folder is made: under a mistyped path an identity would be lost
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
            self._folder,
            f"{MOST_NODES} running supervisors already use it, the most that one folder allows",
            os.EX_CANTCREAT,
        )

    def release(self) -> None:
        """Close the descriptor. Safe to call twice. A new child closes its copy: the lock stays with its parent."""
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
        self._shut(place)
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

    def _shut(self, place: Path) -> None:
        """Close the folder of a node to other users, who could name a foreign process there. A volume may open it."""
        status = place.lstat()
        may_close = os.geteuid() in (0, status.st_uid)
        if stat.S_ISDIR(status.st_mode) and may_close and status.st_mode & 0o022:
            place.chmod(0o700)
        if why := why_foreign(place):
            raise StateFolderUnusable(self._folder, f"{place.name} {why}; delete it if nothing uses it", os.EX_CONFIG)


def _read_or_make(descriptor: int) -> str:
    known, _, mark = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip().partition("\n")
    here = _mark(descriptor)
    if is_uuid(known) and mark == here:
        return known
    # an empty or torn file has never served a node
    fresh = str(uuid.uuid4())
    if is_uuid(known):
        # workers under the old identity may live: this node must not declare them dead
        logger.warning(
            "new identity for this node: the machine has restarted, or this state folder is a copy",
            extra={"node_id": fresh, "before": known},
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{fresh}\n{here}\n".encode(), 0)
    os.fsync(descriptor)
    return fresh


def _mark(descriptor: int) -> str:
    """Return a text that differs for each copy of this file: a hash of the machine's boot, device and inode.

    On a cloned disk, device and inode are the same but the boot differs. /etc/machine-id differs neither for clones
    nor for containers.
    """
    place = os.fstat(descriptor)
    return hashlib.sha256(f"{machine_boot()} {place.st_dev} {place.st_ino}".encode()).hexdigest()
