"""The program that runs in this process: the command that started it, and its execution again with the code on disk.

The new program has the same pid and the same children. A handover, a file in memory, tells it the rest.
"""

import os
import stat
import sys
from collections.abc import Mapping, Sequence

ADOPT = "--adopt"
"""The option with the descriptor of a handover."""


def own_command() -> list[str]:
    """Return the command that started this process; its first word is the path of the program.

    A script runs by its path, which may be a link to another version by now. Otherwise the same Python runs.
    """
    words = [*sys.orig_argv[1:]]
    if ADOPT in words:
        at = words.index(ADOPT)
        del words[at : at + 2]
    return words if words and _is_script(words[0]) else [sys.executable, *words]


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and os.access(path, os.X_OK) and file.read(2) == b"#!"
    except OSError:
        return False


def execute(handover: int, descriptors: Sequence[int], environment: Mapping[str, str]) -> None:
    """Replace this program by the one on disk, with the same pid. Returns only by an OSError: then nothing changed."""
    command = [*own_command(), ADOPT, str(handover)]
    inheritable = [descriptor for descriptor in descriptors if os.get_inheritable(descriptor)]
    try:
        for descriptor in (handover, *descriptors):
            os.set_inheritable(descriptor, True)
        os.execve(command[0], command, {**os.environ, **environment})
    finally:
        os.close(handover)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, descriptor in inheritable)
