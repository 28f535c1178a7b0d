"""Load the processors of a service within a time limit. If an import hangs, the start ends and names the module."""

import faulthandler
import signal
import sys
from types import FrameType

from dtqs.config import Config
from dtqs.errors import ConfigError
from dtqs.processors.catalog import Catalog

_BEYOND_SECONDS = 5.0
"""Extra time until a thread ends the process: no handler can run while C code holds the GIL."""


def load_in_time(config: Config) -> Catalog:
    """Load the catalog within `[supervisor] boot_timeout_seconds`. Raises ConfigError with the hanging module."""
    seconds = config.supervisor.boot_timeout_seconds

    def refuse(_: int, frame: FrameType | None) -> None:
        raise ConfigError(
            [
                f"processors: the import of {_importing(frame)} did not end within "
                f"[supervisor] boot_timeout_seconds = {seconds:g}"
            ]
        )

    before = signal.signal(signal.SIGALRM, refuse)
    faulthandler.dump_traceback_later(seconds + _BEYOND_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return Catalog.load(config)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def _importing(frame: FrameType | None) -> str:
    """Return the position of the import: the innermost module whose body runs."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return f"{frame.f_globals.get('__name__', '?')} (line {frame.f_lineno} of {frame.f_code.co_filename})"
        frame = frame.f_back
    return "a module"
