"""Drop output if the reader of standard output has gone, as in `| head`. It is not an error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def may_be_unread() -> Iterator[None]:
    """Ignore a gone reader, for output that is not the purpose of the command."""
    try:
        yield
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Send all further output nowhere, also the text in the buffer at the interpreter's end."""
    # standard output without a descriptor, as in tests, has no buffer to flush
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
