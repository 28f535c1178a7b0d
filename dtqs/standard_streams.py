"""Standard streams that the caller has closed, as in `dtqs task ID >&-`. Imports little, for `dtqs health`."""

import os
import sys


def open_closed_streams() -> None:
    """Open each closed standard stream on /dev/null.

    Python has None in its place, and the next opened file or socket would get its descriptor.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 - lives as long as the process
