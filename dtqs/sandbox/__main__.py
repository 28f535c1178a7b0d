"""The process behind `dtqs up`: it owns the stack and reports to the command.

bin/quickstart starts it before the packages are installed, so it needs only Python until the go-ahead.
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
"""Time limit for the installation of the packages."""


def main(var: str, api_port: str, workers: str, report_descriptor: str, go_ahead_descriptor: str) -> int:
    """Run the stack until SIGTERM or SIGINT. Empty arguments select defaults.

    A byte through the last pipe is the go-ahead for the parts after the servers.
    """
    report = Report(int(report_descriptor))
    try:
        _log_to(SandboxPaths(Path(var)))
    except SandboxError as error:
        report.say(f"{ERROR}{error}")
        return os.EX_UNAVAILABLE
    log.set_up("info", "text", "sandbox")
    # A shell may start its background processes with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    stack = Stack(Path(var), int(api_port) if api_port else None, int(workers) if workers else None, report.say)
    try:
        stack.start(lambda: _await_go_ahead(int(go_ahead_descriptor)))
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
        path = SandboxPaths(Path(var)).log("sandbox")
        report.say(f"{ERROR}the sandbox failed, {type(error).__name__}: {error}; its log: {path}")
        return os.EX_SOFTWARE
    finally:
        stack.stop()
    return os.EX_OK


def _log_to(places: SandboxPaths) -> None:
    places.make()
    with places.log("sandbox").open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def _await_go_ahead(descriptor: int) -> None:
    """Wait for the go-ahead of the starting command. Raises SandboxError at the time limit or if the command ends."""
    readable, _, _ = select.select([descriptor], [], [], _PACKAGES_SECONDS)
    if not readable or not os.read(descriptor, 1):
        raise SandboxError(
            f"the command that started the servers ended or gave no go-ahead within {_PACKAGES_SECONDS:g} s"
        )
    os.close(descriptor)
    # Packages may have been installed since the start.
    importlib.invalidate_caches()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
