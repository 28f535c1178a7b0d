"""How ffmpeg, ffprobe and our own small programs are started: what happens in the child before it becomes one of them."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dtqs import prctl
from dtqs.errors import JailNotEntered, PermanentError
from dtqs.jail import Jail
from dtqs.jail.linux import Step

_OOM_SCORE = b"700"
_NO_STEP: Step = lambda: None  # noqa: E731


def start(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    limits: Mapping[int, int],
    jail: Jail | None,
    files: Sequence[BinaryIO],
) -> "subprocess.Popen[bytes]":
    """Start a program in the folder, with those open files and no others; None: it enters the jail itself.

    To be called in the main thread: the child ends with the thread that started it. Raises PermanentError, JailUnavailable, JailNotEntered.
    """
    fds = [file.fileno() for file in files]
    program = _found(command[0])
    with _jailed(jail, program, folder, fds) as enter:
        try:
            return subprocess.Popen(
                command, executable=program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
                env=dict(environment), pass_fds=fds, start_new_session=True, preexec_fn=_preparation(limits, enter),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise _missing(command[0]) from error
        except subprocess.SubprocessError as error:  # the step has failed; why, the child cannot tell
            raise JailNotEntered(f"a step of {command[0]} between fork and exec has failed") from error


def _found(name: str) -> str:
    """Return the program's path, as it is seen from here: the jail must know where it lies."""
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
    """Return what the child does between fork and exec. All it needs is loaded before: the worker's other threads are gone there, and their locks are not."""
    parent = os.getpid()
    lowered = [(what, _lowered(what, limit)) for what, limit in limits.items()]
    die_with_parent = prctl.dying_with_parent()

    def prepare() -> None:
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(os.EX_TEMPFAIL)
        for what, limit in lowered:
            resource.setrlimit(what, (limit, limit))
        with suppress(OSError):  # when memory runs out, the encoder goes and the worker stays
            os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), _OOM_SCORE)
        enter()

    return prepare


def _lowered(what: int, limit: int) -> int:
    """The worker's own limit may be lower, and cannot be raised."""
    most = resource.getrlimit(what)[1]
    return limit if most == resource.RLIM_INFINITY else min(limit, most)
