"""The process behind `dtqs up`: owns the stack, and reports to the command."""

import os
import signal
import sys
from pathlib import Path

import setproctitle

from dtqs import log
from dtqs.errors import DtqsError
from dtqs.sandbox.report import ERROR, READY, Report
from dtqs.sandbox.stack import Stack


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
