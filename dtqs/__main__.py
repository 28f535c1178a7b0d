"""`python -m dtqs`: the command line."""

import gc
import os
import signal
import sys

if os.getpid() == 1:
    # without a handler the kernel keeps SIGTERM from the first process of a container; a service sets its own later
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

from dtqs.health import quick
from dtqs.standard_streams import escape_unknown_characters, open_closed_streams

open_closed_streams()

if "health" in sys.argv[1:4]:  # --config PATH may stand before it
    quick(sys.argv[1:])  # the imports below would take most of a probe's time

HANDLED = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if HANDLED:
    # the imports take a moment: during them Ctrl-C ends the process without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# imports make no garbage: to look for it took an eleventh of their time
gc.disable()

from dtqs.cli import main  # noqa: E402


def run() -> None:
    if HANDLED:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    escape_unknown_characters()
    main(prog_name="dtqs")


if __name__ == "__main__":
    run()
