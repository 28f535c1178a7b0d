"""Load the processors for a service, within a limit: a module that hangs in its import is named, and the start ends."""

import faulthandler
import signal
import sys
from types import FrameType

from dtqs.config import Config
from dtqs.errors import ConfigError
from dtqs.processors.catalog import Catalog

_BEYOND_SECONDS = 5.0
"""An import that lets no handler run, since C code holds Python's lock, is ended by a thread so much later."""


def load_in_time(config: Config) -> Catalog:
    """Load the catalog within `[supervisor] boot_timeout_seconds`. Raises ConfigError, which names the module that was being imported."""
    seconds = config.supervisor.boot_timeout_seconds

    def late(_: int, frame: FrameType | None) -> None:
        raise ConfigError(
            [
                f"processors: the import of {_importing(frame)} did not end within [supervisor] boot_timeout_seconds = {seconds:g}"
            ]
        )

    before = signal.signal(signal.SIGALRM, late)
    faulthandler.dump_traceback_later(seconds + _BEYOND_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return Catalog.load(config)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def _importing(frame: FrameType | None) -> str:
    """Return where the import stands: the innermost module whose body runs."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return f"{frame.f_globals.get('__name__', '?')} (line {frame.f_lineno} of {frame.f_code.co_filename})"
        frame = frame.f_back
    return "a module"
