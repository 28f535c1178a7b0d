"""The process behind `dtqs up`: owns the stack, and reports to the command through a pipe, a line for each step."""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import setproctitle

from dtqs import log
from dtqs.errors import DtqsError
from dtqs.sandbox.stack import Stack

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


def main(var: str, api_port: str, workers: str, report_descriptor: str) -> int:
    """Run the stack until SIGTERM or SIGINT. An empty text stands for what was not asked for."""
    setproctitle.setproctitle("dtqs: sandbox")
    log.set_up("info", "text", "sandbox")
    # a shell may have started us with SIGINT ignored
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    report = Report(int(report_descriptor))
    stack = Stack(Path(var), int(api_port) if api_port else None, int(workers) if workers else None, report.say)
    try:
        stack.start()
        report.say(READY)
        stack.watch()
    except KeyboardInterrupt:
        report.say("Stopping")
    except DtqsError as error:
        for line in str(error).splitlines():
            report.say(f"{ERROR}{line}")
        return os.EX_UNAVAILABLE
    finally:
        stack.stop()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
