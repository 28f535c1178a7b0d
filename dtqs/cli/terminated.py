"""SIGTERM during a command over the API: the terminal shows its cursor again, and answers so far are printed."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STATUS = 128 + signal.SIGTERM
"""Exit status of a command that SIGTERM has ended. A shell shows the same for one without a handler."""
_SHOW_CURSOR = "\x1b[?25h"


class _Terminated(SystemExit):
    pass


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command within this block as an exception does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    except (_Terminated, KeyboardInterrupt):
        # a bar shows the cursor itself, unless the signal came between its first line and its own block
        # and then rich's own stream, which writes no control sequences, may stand for sys.stderr
        terminal = sys.__stderr__
        if terminal is not None and terminal.isatty():
            terminal.write(_SHOW_CURSOR)
            terminal.flush()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: int | FrameType | None) -> NoReturn:
    raise _Terminated(STATUS)
