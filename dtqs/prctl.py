"""Two calls of Linux that Python lacks: a child dies with its parent, and this process adopts orphans."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends. Raises OSError."""
    dying_with_parent()()


def dying_with_parent() -> Callable[[], None]:
    """Return `die_with_parent`, ready for a child between fork and exec.

    That child must not load or look up a library. A thread of its parent may have held the loader's lock at the fork;
    in the child nobody releases it.
    """
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans(wanted: bool = True) -> None:
    """Become the parent of every descendant whose parent dies. Children do not inherit this. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))()


def _prctl(option: int, value: int) -> Callable[[], None]:
    # the C library is loaded: this only looks up the function
    function, argument = ctypes.CDLL(None, use_errno=True).prctl, ctypes.c_ulong(value)

    def request() -> None:
        if function(option, argument, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({option}): {os.strerror(number)}")

    return request
