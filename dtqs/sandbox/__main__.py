"""The process behind `dtqs up`: owns the stack, and reports to the command.

bin/quickstart starts it before there are any packages, so until it is told to go on it needs nothing but Python.
"""

import importlib
import logging
import os
import select
import signal
import sys
from pathlib import Path

from dtqs import log
from dtqs.errors import DtqsError
from dtqs.sandbox.child import SandboxError
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.report import ERROR, READY, Report
from dtqs.sandbox.stack import Stack

logger = logging.getLogger(__name__)
_PACKAGES_SECONDS = 600.0
"""How long the installation of the packages may take."""


def main(var: str, api_port: str, workers: str, report_descriptor: str, word_descriptor: str) -> int:
    """Run the stack until SIGTERM or SIGINT. An empty text stands for what was not asked for. It goes beyond the servers at a word through the last pipe."""
    report = Report(int(report_descriptor))
    try:
        _log_to(SandboxPaths(Path(var)))
    except SandboxError as error:
        report.say(f"{ERROR}{error}")
        return os.EX_UNAVAILABLE
    log.set_up("info", "text", "sandbox")
    # a shell may have started us with SIGINT ignored
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    stack = Stack(Path(var), int(api_port) if api_port else None, int(workers) if workers else None, report.say)
    try:
        stack.start(lambda: _await_word(int(word_descriptor)))
        report.say(READY)
        stack.watch()
    except KeyboardInterrupt:
        report.say("Stopping")
    except DtqsError as error:
        for line in str(error).splitlines():
            report.say(f"{ERROR}{line}")
        return os.EX_UNAVAILABLE
    except Exception as error:
        logger.exception("the sandbox failed")
        report.say(
            f"{ERROR}the sandbox failed, {type(error).__name__}: {error}; its log: {SandboxPaths(Path(var)).log('sandbox')}"
        )
        return os.EX_SOFTWARE
    finally:
        stack.stop()
    return os.EX_OK


def _log_to(places: SandboxPaths) -> None:
    places.make()
    with places.log("sandbox").open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def _await_word(descriptor: int) -> None:
    """Wait for the word of the one who started us, or who took over from that one. Raises SandboxError when it can no longer come."""
    readable, _, _ = select.select([descriptor], [], [], _PACKAGES_SECONDS)
    if not readable or not os.read(descriptor, 1):
        raise SandboxError("what started the servers has ended, or has not gone on in time")
    os.close(descriptor)
    # there may be packages now that were not there when we started
    importlib.invalidate_caches()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
