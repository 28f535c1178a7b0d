"""A RabbitMQ out of a tree of another release of Debian, with its files in a folder of this machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dtqs.sandbox.child import Account, SandboxProcess
from dtqs.sandbox.rabbitmq import PrivateRabbitmq
from tests.matrix.trees import Tree

_ENTER = (
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    'tree=$0 folder=$1; shift; mount -t proc proc "$tree/proc" && mount -t tmpfs tmpfs "$tree/tmp" &&'
    ' mkdir -p "$tree$folder" && mount --bind "$folder" "$tree$folder" && exec chroot "$tree" "$@"',
)
"""The folder has the same path inside the tree. The mounts end with the command's own namespace."""


class TreeRabbitmq(PrivateRabbitmq):
    """A RabbitMQ whose programs come from a tree. Only root may enter it."""

    def __init__(self, tree: Tree, directory: Path, port: int, distribution_port: int, epmd_port: int, node: str):
        super().__init__(directory, port, distribution_port, epmd_port, node=node)
        self._tree = tree
        self.child = _TreeProcess(self.as_server, "rabbitmq", directory)
        self._epmd = _TreeProcess(self.as_server, "epmd", directory)

    def environment(self) -> dict[str, str]:
        inherited = super().environment()
        inherited.pop("RABBITMQ_PLUGINS_DIR", None)  # links to this machine's plugins
        return inherited

    def as_server(self, *command: str) -> list[str]:
        account = Account.choose("rabbitmq", "postgres")
        assert account
        as_user = ["setpriv", *account.prefix(), "--pdeathsig", "KILL", "--", *command]
        return [*_ENTER, str(self._tree.path), str(self.directory.parent), *as_user]


class _TreeProcess(SandboxProcess):
    def __init__(self, inside: Callable[..., list[str]], name: str, directory: Path) -> None:
        super().__init__(name, directory / f"{name}.pid", directory / f"{name}.log")
        self._inside = inside

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        # the folder is there only inside, and chroot begins at its root
        super().start(self._inside(*command), environment, None)
