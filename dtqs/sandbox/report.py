"""What the sandbox's own process tells the command that started it: a line for each step, through a pipe."""

import logging
import os
from contextlib import suppress

READY = "ready"
ERROR = "error: "
logger = logging.getLogger(__name__)


class Report:
    """Lines to the command that started us, as long as it listens, and to our own log."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")

    def say(self, line: str) -> None:
        logger.info(line)
        # `dtqs up --detach` has gone when all is ready
        with suppress(BrokenPipeError):
            self._pipe.write(f"{line}\n")
