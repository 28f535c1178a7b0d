"""The process of the sandbox as `up` uses it: start it, follow its report, and stop it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click

from dtqs.deadline import Deadline
from dtqs.sandbox.child import SandboxError
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import send, wait_gone
from dtqs.sandbox.report import ERROR, READY
from dtqs.sandbox.stack import is_ready

STOP_SECONDS = 150.0
READY_SECONDS = 120.0
Sandbox = tuple[int, int, int]
"""The process id, and our ends of two pipes: we read its report from one, and tell it to go on through the other."""


@contextmanager
def started(places: SandboxPaths, detach: bool, api_port: int | None, workers: int | None) -> Iterator[Sandbox]:
    """Start the sandbox's process. Until the end of the context its process id belongs to no other process."""
    reading, report = os.pipe()
    word, writing = os.pipe()
    # in the foreground the sandbox must not outlive this process: SIGTERM makes it stop cleanly
    death_signal = "clear" if detach else "TERM"
    command = ["setpriv", "--pdeathsig", death_signal, "--", sys.executable, "-P", "-m", "dtqs.sandbox"]
    arguments = [str(places.var), str(api_port or ""), str(workers or ""), str(report), str(word)]
    process = subprocess.Popen(
        command + arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[report, word],
        start_new_session=True,
    )
    os.close(report)
    os.close(word)
    yield process.pid, reading, writing


def await_ready(places: SandboxPaths, pid: int) -> None:
    """Wait for a sandbox that another process started. Raises SandboxError."""
    deadline = Deadline(READY_SECONDS)
    while not is_ready(places):
        if wait_gone([pid], Deadline(0.1)) or deadline.passed:
            raise SandboxError(f"the sandbox (process {pid}) is not ready; its log: {places.log('sandbox')}")


def follow_start(report: IO[str], places: SandboxPaths) -> None:
    """Print the steps of the start until the sandbox is ready. Raises SandboxError."""
    errors = []
    for line in map(str.rstrip, report):
        if line == READY:
            return
        if line.startswith(ERROR):
            errors.append(line.removeprefix(ERROR))
        else:
            click.echo(line)
    raise SandboxError("\n".join(errors) or f"the sandbox ended before it was ready; its log: {places.log('sandbox')}")


def follow(report: IO[str]) -> None:
    """Print the report of a running sandbox until it ends."""
    for line in map(str.rstrip, report):
        click.echo(line)


def stop(pid: int) -> None:
    """Stop the sandbox and wait. A second Ctrl-C makes the workers give back their tasks. Raises SandboxError."""
    deadline = Deadline(STOP_SECONDS)
    click.echo("\nStopping: the workers finish their tasks (Ctrl-C again: they give them back)")
    _terminate(pid)
    while not deadline.passed:
        try:
            if not _is_our_child(pid) or wait_gone([pid], deadline):
                click.echo("Stopped. The data stays.")
                return
        except KeyboardInterrupt:
            _terminate(pid)
    raise SandboxError(f"the sandbox (process {pid}) did not end within {STOP_SECONDS:g} s")


def _terminate(pid: int) -> None:
    if _is_our_child(pid):
        send(pid, signal.SIGTERM)


def _is_our_child(pid: int) -> bool:
    """Tell whether the process is a child of ours, ended or not.

    The shell that started the sandbox may have reaped it. Its process id may then belong to any other process.
    """
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
