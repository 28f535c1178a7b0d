"""A container without an engine: namespaces, a read-only root, no capability, no /dev/shm, the command as process 1."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.helpers import eventually

_PATH = "/opt/dtqs/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# All mounts vanish with the namespace.
_ENTER = """
root=$1 state=$2 secrets=$3 user=$4; shift 4
mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc" && mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom; do
    touch "$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name"
done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$state" "$root/var/lib/dtqs"
mount -t tmpfs -o mode=755 tmpfs "$root/run" && mkdir "$root/run/secrets-of-dtqs"
mount --bind "$secrets" "$root/run/secrets-of-dtqs"
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -C /var/lib/dtqs "$@"
"""
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")


@dataclass(frozen=True, slots=True)
class Image:
    """The files of an image, the folders that are mounted into its containers, and their user and environment."""

    root: Path
    state: Path
    secrets: Path
    user: int
    environment: Mapping[str, str]


class Container:
    """One command in an image, as process 1. Its network is this machine's."""

    def __init__(self, image: Image, *command: str) -> None:
        self._image = image
        self.log = image.state.parent / f"{command[1]}-{image.root.name}.log"
        self._environment = {"PATH": _PATH, "PYTHONDONTWRITEBYTECODE": "1", **image.environment}
        places = map(str, (image.root, image.state, image.secrets, image.user))
        with self.log.open("ab") as log:
            self._unshare = subprocess.Popen(
                [*_UNSHARE, "sh", "-euc", _ENTER, "enter", *places, *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """The process id, out here, of the container's process 1."""
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        return int(eventually(lambda: children.read_text().split(), 5, "the container has a process")[0])

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command beside process 1, as an engine's `exec` does."""
        user = str(self._image.user)
        into = ("nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wdns=/var/lib/dtqs")
        return subprocess.run(
            [*into, "setpriv", "--reuid", user, "--regid", user, "--clear-groups", *command],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def send(self, signal_number: int) -> None:
        os.kill(self.pid, signal_number)

    def wait(self, seconds: float) -> int:
        """Wait for the end, and return the exit status."""
        status = self._unshare.wait(seconds)
        assert status >= 0 or status == -9, self.text
        return status

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End whatever still runs. The kernel ends all processes with process 1."""
        self._unshare.kill()
        self._unshare.wait(20)
