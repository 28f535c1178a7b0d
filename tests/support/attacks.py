"""Attempts of a program that a hostile file has taken over.

The text of this file runs inside the jail, where no project file is readable: it imports the standard library only.
`tried(targets)` makes each attempt and returns how it ended: "done", or the name of the error.
"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

MACHINE = os.uname().machine
NUMBERS = {
    # x86-64, arm64
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "kcmp": (312, 272),
    "memfd_create": (319, 279),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "setns": (308, 268),
    "shmget": (29, 194),
    "socketpair": (53, 199),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_LIBC = ctypes.CDLL(None, use_errno=True)


def raw(name: str, *arguments: Any) -> int:
    _LIBC.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = _LIBC.syscall(ctypes.c_long(NUMBERS[name][MACHINE == "aarch64"]), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


def prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def read_memory(pid: int) -> None:
    with open(f"/proc/{pid}/mem", "rb"):
        pass


def write(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def cut(path: str, access: int) -> None:
    os.close(os.open(path, access | os.O_TRUNC))


def connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as link:
        link.settimeout(5)
        link.connect(address)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def trace(pid: int) -> None:
    raw("ptrace", 16, pid, 0, 0)  # attach
    os.waitpid(pid, 0)
    raw("ptrace", 17, pid, 0, 0)  # detach


def signal_by_the_kernel(pid: int) -> None:
    """Let the kernel send the signal: it signals the owner of an open file."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
    os.close(reader)
    os.close(writer)


def look_into(pid: int) -> None:
    found = (ctypes.c_char * 8)()
    local = (ctypes.c_size_t * 2)(ctypes.addressof(found), 8)
    remote = (ctypes.c_size_t * 2)(1, 0)
    raw("process_vm_readv", pid, local, 1, remote, 1, 0)


def each(*steps: Callable[[], object]) -> Callable[[], None]:
    def attempt() -> None:
        for step in steps:
            step()

    return attempt


def attempts(targets: dict[str, Any]) -> dict[str, Callable[[], object]]:
    secret, other, parent, victim, work = (targets[name] for name in ("secret", "other", "parent", "victim", "work"))
    return {
        "read the configuration": lambda: read(secret),
        "read another task's file": lambda: read(other),
        "list the state folder": lambda: os.listdir(os.path.dirname(secret)),
        "read the worker's environment": lambda: read(f"/proc/{parent}/environ"),
        "open the worker's memory": lambda: read_memory(parent),
        "list the worker's open files": lambda: os.listdir(f"/proc/{parent}/fd"),
        "read the worker's memory by a call": lambda: look_into(parent),
        "write outside": lambda: write(other),
        "make a file outside": lambda: write(os.path.join(os.path.dirname(secret), "new")),
        "cut a file outside": lambda: os.truncate(other, 0),
        "cut a file outside by an open without access": lambda: cut(other, 3),
        "cut its source": lambda: cut(targets["source"], os.O_RDONLY),
        "open the configuration to all": lambda: os.chmod(secret, 0o666),
        "date a file outside": lambda: os.utime(other),
        "move a file outside": each(
            lambda: os.rename(other, other + ".moved"), lambda: os.rename(other + ".moved", other)
        ),
        "connect by TCP": lambda: connect(socket.AF_INET, tuple(targets["tcp"])),
        "connect to a socket's file": lambda: connect(socket.AF_UNIX, targets["unix"]),
        "connect to an abstract socket": lambda: connect(socket.AF_UNIX, "\0" + targets["abstract"]),
        "make a pair of sockets": lambda: socket.socketpair(),
        "fork": fork,
        "kill another process": lambda: os.kill(victim, signal.SIGURG),
        "have the kernel signal another process": lambda: signal_by_the_kernel(victim),
        "trace another process": lambda: trace(victim),
        "limit another process": lambda: resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0)),
        "slow another process": lambda: os.setpriority(os.PRIO_PROCESS, victim, 19),
        "pin another process": lambda: os.sched_setaffinity(victim, os.sched_getaffinity(0)),
        "outlive the worker": lambda: prctl(1, 0),
        "leave a symbolic link": each(
            lambda: os.symlink("/etc/passwd", f"{work}/link"), lambda: os.unlink(f"{work}/link")
        ),
        "leave a pipe": each(lambda: os.mkfifo(f"{work}/pipe"), lambda: os.unlink(f"{work}/pipe")),
        "leave a hard link": each(
            lambda: write(f"{work}/one"),
            lambda: os.link(f"{work}/one", f"{work}/two"),
            lambda: os.unlink(f"{work}/two"),
        ),
        "change a mode": each(lambda: write(f"{work}/one"), lambda: os.chmod(f"{work}/one", 0o644)),
        "make shared memory": lambda: raw("shmget", 0, 4096, 0o600),
        "make a file of memory": lambda: raw("memfd_create", b"x", 0),
        "ask for another personality": lambda: raw("personality", 0xFFFFFFFF),
        "hold another process": lambda: raw("pidfd_open", victim, 0),
    }


PRIVILEGED = (
    "add_key", "bpf", "chroot", "io_uring_setup", "kcmp", "keyctl", "mount", "move_mount", "open_by_handle_at",
    "perf_event_open", "pidfd_getfd", "pidfd_send_signal", "process_vm_writev", "setns", "unshare", "userfaultfd",
)  # fmt: skip
"""System calls that the filter refuses for all arguments. The kernel alone would report another error first."""


def ended(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def tried(targets: dict[str, Any]) -> dict[str, str]:
    endings = {name: ended(attempt) for name, attempt in attempts(targets).items()}
    endings |= {f"call {name}": ended(partial(raw, name, -1, -1, -1, -1, -1)) for name in PRIVILEGED}
    endings |= {f"in its own folder, {name}": ended(attempt) for name, attempt in harmless(targets).items()}
    return endings


def harmless(targets: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Return the attempts that must work."""
    work = targets["work"]
    return {
        "write": lambda: write(f"{work}/mine"),
        "rename": each(lambda: write(f"{work}/mine"), lambda: os.rename(f"{work}/mine", f"{work}/other")),
        "cut": each(lambda: write(f"{work}/mine"), lambda: cut(f"{work}/mine", os.O_WRONLY)),
        "cut and read": each(lambda: write(f"{work}/mine"), lambda: cut(f"{work}/mine", os.O_RDWR)),
        "make a folder": each(lambda: os.mkdir(f"{work}/folder"), lambda: os.rmdir(f"{work}/folder")),
        "kill itself a little": lambda: os.kill(os.getpid(), signal.SIGURG),
    }


if __name__ == "__main__":
    print(json.dumps(tried(json.loads(sys.argv[1]))))
