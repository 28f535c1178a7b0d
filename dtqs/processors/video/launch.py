"""Start ffmpeg, ffprobe and our own small programs: the steps in the child between fork and exec."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dtqs import prctl
from dtqs.errors import JailNotEntered, PermanentError
from dtqs.jail import Jail
from dtqs.jail.linux import Step

_OOM_SCORE = b"700"
_NO_STEP: Step = lambda: None  # noqa: E731


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one process."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    stall_seconds: float

    def limits(self) -> dict[int, int]:
        return {
            resource.RLIMIT_AS: self.memory_bytes,
            resource.RLIMIT_CPU: self.cpu_seconds,
            resource.RLIMIT_FSIZE: self.file_bytes,
            resource.RLIMIT_CORE: 0,
        }


def start(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    limits: Mapping[int, int],
    jail: Jail | None,
    files: Sequence[BinaryIO],
) -> "subprocess.Popen[bytes]":
    """Start a program in the folder with only these open files. Without a jail the program enters one itself.

    Call it in the main thread: the child ends with the thread that started it.
    Raises PermanentError, JailUnavailable or JailNotEntered.
    """
    fds = [file.fileno() for file in files]
    program = _find(command[0])
    with _jailed(jail, program, folder, fds) as enter:
        try:
            return subprocess.Popen(
                command,
                executable=program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=dict(environment),
                pass_fds=fds,
                start_new_session=True,
                preexec_fn=_preparation(limits, enter),
            )
        except FileNotFoundError as error:
            raise _missing(command[0]) from error
        except subprocess.SubprocessError as error:  # the child has no way to report the reason
            raise JailNotEntered(f"a step of {command[0]} between fork and exec failed") from error


def _find(name: str) -> str:
    """Return the program's path in our file system, which the jail needs."""
    found = shutil.which(name)
    if found is None:
        raise _missing(name)
    return os.path.abspath(found)


def _missing(name: str) -> PermanentError:
    return PermanentError(f"{name} is not installed on this node")


@contextmanager
def _jailed(jail: Jail | None, program: str, folder: Path, fds: Sequence[int]) -> Iterator[Step]:
    if jail is None:
        yield _NO_STEP
        return
    with jail.prepared(Path(program).resolve(), folder, fds) as enter:
        yield enter


def _preparation(limits: Mapping[int, int], enter: Step) -> Step:
    """Return the child's steps between fork and exec.

    Everything they need is loaded before the fork: in the child the worker's other threads are gone, but their locks
    may still be held.
    """
    parent = os.getpid()
    lowered = [(resource_id, _lowered(resource_id, limit)) for resource_id, limit in limits.items()]
    die_with_parent = prctl.dying_with_parent()

    def prepare() -> None:
        die_with_parent()
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(os.EX_TEMPFAIL)
        for resource_id, limit in lowered:
            resource.setrlimit(resource_id, (limit, limit))
        with suppress(OSError):  # when memory runs out, the kernel kills the encoder and not the worker
            os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), _OOM_SCORE)
        enter()

    return prepare


def _lowered(resource_id: int, limit: int) -> int:
    """Return the limit, or the worker's own if that is lower: a process cannot raise it."""
    most = resource.getrlimit(resource_id)[1]
    return limit if most == resource.RLIM_INFINITY else min(limit, most)
