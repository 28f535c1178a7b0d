"""Progress of the sandbox for the command that started it: one line per step, through a pipe."""

import logging
import os
from contextlib import suppress

READY = "ready"
ERROR = "error: "
logger = logging.getLogger(__name__)


class Report:
    """Writes lines to the starting command while it listens, and to the log."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")

    def say(self, line: str) -> None:
        """Report one line."""
        logger.info(line)
        # `dtqs up --detach` ends once the stack is ready.
        with suppress(BrokenPipeError):
            self._pipe.write(f"{line}\n")
