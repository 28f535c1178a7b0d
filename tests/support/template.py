"""Starts of `dtqs api` and `dtqs supervisor` from processes that have imported their code already.

Imports are most of a start, and the suite makes hundreds of starts. A template (template_main.py) imports the code as
the command does, then forks. Tests of the start itself use the command.
"""

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

NAMES = ("api", "supervisor")
_ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 60.0


class Started:
    """A program that a template has started, with the parts of subprocess.Popen that tests use."""

    def __init__(self, pid: int, end: int) -> None:
        """`end` is the descriptor from which the guardian's report comes."""
        self.pid, self.returncode = pid, None
        self._end = os.fdopen(end, "rb")

    returncode: int | None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not _readable(self._end.fileno(), timeout):
                raise subprocess.TimeoutExpired("dtqs", timeout or 0)
            report = self._end.read()
            # a guardian that was killed has killed its program
            self.returncode = int(report) if report else -signal.SIGKILL
            self._end.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(name: str, environment: Mapping[str, str], folder: Path, log: int) -> Started:
    """Start `dtqs NAME` as the leader of a session of its own, with `log` as its output."""
    return _template(name).start(environment, folder, log)


@cache
def _template(name: str) -> "_Template":
    return _Template(name)


class _Template:
    def __init__(self, name: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DTQS_")}
        # it ends when the socket does
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.template_main", name, str(theirs.fileno())],
            env=environment | {"PYTHONPATH": str(_ROOT)},
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._line = ours
        self._line.settimeout(_WAIT_SECONDS)

    def start(self, environment: Mapping[str, str], folder: Path, log: int) -> Started:
        reader, writer = os.pipe()
        request = json.dumps({"environment": dict(environment), "folder": str(folder)}).encode()
        descriptors = array.array("i", [log, writer])
        self._line.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        os.close(writer)
        pid = int(self._line.recv(64))
        return Started(pid, reader)


def _readable(descriptor: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))
