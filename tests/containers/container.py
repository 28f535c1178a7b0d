"""A container without an engine: namespaces, a read-only root, no capability, no /dev/shm, the command as process 1."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.containers.image import Image
from tests.support.helpers import eventually

# Mount places are made before the root becomes read-only, as an engine does. All mounts vanish with the namespace.
_ENTER = """
root=$1 user=$2 group=$3 directory=$4; shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc" && mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom; do
    touch "$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name"
done
while [ "$1" != -- ]; do
    source=$1 target=$root$2 mode=$3; shift 3
    if [ -f "$source" ]; then touch "$target"; else mkdir -p "$target"; fi
    if [ "$source" = tmpfs ]; then
        mount -t tmpfs -o mode=1777 tmpfs "$target"
    else
        mount --bind "$source" "$target" && mount -o "remount,bind,$mode" "$target"
    fi
done
shift
mount -o remount,bind,ro "$root"
# the change of the user forgets the death signal of --kill-child
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all --pdeathsig KILL env -C "$directory" "$@"
"""
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")


@dataclass(frozen=True, slots=True)
class Place:
    """How a container runs: its image, its user (USER:GROUP), its variables, and the folders that it mounts."""

    image: Image
    user: str
    environment: Mapping[str, str]
    mounts: Mapping[str, Path]
    """By their place in the container, the outer ones first."""
    read_only: frozenset[str] = frozenset()
    tmpfs: tuple[str, ...] = ("/tmp",)
    network: bool = True
    log: Path = field(default=Path("/dev/null"))

    @property
    def variables(self) -> Mapping[str, str]:
        return MappingProxyType({**self.image.environment, **self.environment})

    @property
    def words(self) -> list[str]:
        """Return the arguments of the script that enters the container."""
        mounts = [["tmpfs", place, "rw"] for place in self.tmpfs]
        mounts += [
            [str(source), place, "ro" if place in self.read_only else "rw"] for place, source in self.mounts.items()
        ]
        user = self.user.split(":")
        return [str(self.image.root), *user, self.image.directory, *(word for mount in mounts for word in mount), "--"]


class Container:
    """One command in an image, as process 1. Its network is this machine's, or none."""

    def __init__(self, place: Place, *command: str) -> None:
        self._place = place
        self.log = place.log
        unshare = [*_UNSHARE, *([] if place.network else ["--net"])]
        with self.log.open("ab") as log:
            self._unshare = subprocess.Popen(
                [*unshare, "sh", "-euc", _ENTER, "enter", *place.words, *command],
                env=dict(place.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """The process id, out here, of the container's process 1."""
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        return int(eventually(lambda: children.read_text().split(), 5, "the container has a process")[0])

    def entering(self, *command: str) -> list[str]:
        """Return the command that runs another one beside process 1, as an engine's `exec` does."""
        user, group = self._place.user.split(":")
        directory = self._place.image.directory
        into = ("nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", f"--wdns={directory}")
        less = ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
        return [*into, "setpriv", "--reuid", user, "--regid", group, *less, *command]

    def run(self, *command: str, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run a command beside process 1."""
        return subprocess.run(
            self.entering(*command),
            env=dict(self._place.variables),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def catches(self, signal_number: int) -> bool:
        """Return whether process 1 has a handler. Without one the kernel keeps the signal from it."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal_number - 1) & 1)

    def send(self, signal_number: int) -> None:
        os.kill(self.pid, signal_number)

    def wait(self, seconds: float) -> int:
        """Wait for the end, and return the exit status."""
        status = self._unshare.wait(seconds)
        assert status >= 0 or status == -9, self.text
        return status

    @property
    def variables(self) -> Mapping[str, str]:
        return self._place.variables

    @property
    def running(self) -> bool:
        return self._unshare.poll() is None

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End whatever still runs. The kernel ends all processes with process 1."""
        self._unshare.kill()
        self._unshare.wait(20)
