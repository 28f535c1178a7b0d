"""`python -m dtqs`: the command line."""

import signal

HANDLED = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if HANDLED:
    # the imports take a moment: during them Ctrl-C ends the process without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from dtqs.cli import main  # noqa: E402


def run() -> None:
    if HANDLED:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main(prog_name="dtqs")


if __name__ == "__main__":
    run()
