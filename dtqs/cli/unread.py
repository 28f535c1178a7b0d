"""Standard output whose reader has gone, as behind `| head`: what is printed from then on is dropped, and not an error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def may_be_unread() -> Iterator[None]:
    """Go on behind this where nobody reads what is printed: it was not what the command is for."""
    try:
        yield
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Have nothing more come to standard output, not even what stands in its buffer at the interpreter's end."""
    with (
        suppress(OSError, ValueError),
        open(os.devnull, "wb") as nothing,
    ):  # one that is no file, as in tests, has no end to fear
        os.dup2(nothing.fileno(), sys.stdout.fileno())
