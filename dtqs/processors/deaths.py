"""Who is to blame when a child process that works on somebody's file dies of a signal: the file, or somebody outside; pure."""

import signal

from dtqs.signal_name import signal_name

_OF_THE_FILE = frozenset({
    signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ,
})  # fmt: skip
"""A crash, or a limit of its own. Any other signal is sent: by a person, by what stops the node, by the kernel where others took the memory."""


def is_from_outside(status: int) -> bool:
    """Tell of an exit status, as subprocess counts it, whether another attempt may end otherwise."""
    return status < 0 and -status not in _OF_THE_FILE


def words(status: int) -> str:
    """Say who did it, of a death from outside."""
    why = ", most likely because the machine had no memory left for it" if status == -signal.SIGKILL else ""
    return f"was killed from outside ({signal_name(-status)}){why}"
