"""Blame for a child process that dies of a signal while it works on a file: the file, or the outside; pure."""

import signal

from dtqs.signal_name import signal_name

_OF_THE_FILE = frozenset({
    signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT,
    signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ,
})  # fmt: skip
"""A crash, or the process's own limit. Other signals come from a person, a stopping node, or the OOM killer."""


def is_from_outside(status: int) -> bool:
    """Tell whether another attempt may end differently, from an exit status as subprocess counts it."""
    return status < 0 and -status not in _OF_THE_FILE


def outside_cause(status: int) -> str:
    """Return the cause of a death from outside, for an error message."""
    why = ", most likely because the machine ran out of memory" if status == -signal.SIGKILL else ""
    return f"was killed from outside ({signal_name(-status)}){why}"
