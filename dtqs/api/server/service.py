"""The API's master as a service of systemd: READY when a process serves, the watchdog's ping, and the status."""

import os
import time
from collections.abc import Mapping, Sequence

from dtqs.systemd import Notifier

_FIRST_DESCRIPTOR = 3
"""The first socket that systemd passes (SD_LISTEN_FDS_START)."""


def is_socket_activated(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether systemd has opened the API's port for this process (sd_listen_fds(3))."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") != "0"


def inherited_listeners(environ: Mapping[str, str] = os.environ) -> Sequence[int]:
    """Return the sockets that this process got open: from systemd, or from the master that SIGUSR2 has told to."""
    if is_socket_activated(environ):
        return range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(environ["LISTEN_FDS"]))
    return [int(each) for each in environ.get("GUNICORN_FD", "").split(",") if each]


class ServiceReports:
    """Reports to the service manager. gunicorn itself would report READY before any process has loaded."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready_after: float | None = 0.0
        """READY is due when a process becomes ready after this monotonic time; None: nothing is due."""
        self._refusal = ""
        self._is_stopping = False

    def turn(self, served_at: float, processes: int) -> None:
        """Ping the watchdog, and report READY when it is due. `served_at`: when a process became ready last, or 0.0."""
        self._notifier.ping(time.monotonic())
        if self._ready_after is not None and served_at > self._ready_after:
            self._ready_after = None
            self._notifier.ready()
        if self._ready_after is None:
            self._notifier.status(f"serving with {processes} processes{self._refusal}")

    def reloading(self) -> None:
        self._ready_after, self._refusal = time.monotonic(), ""
        self._notifier.reloading()

    def refused(self, problem: str) -> None:
        """Show in the status, until the next reload, that this one was refused; one line of the problem is enough."""
        self._refusal = f"; not reloaded: {problem.splitlines()[0]}"

    def stopping(self) -> None:
        self._is_stopping = True
        self._notifier.stopping()

    def ending(self) -> None:
        """Between `stopping` and the end, ask for more time and ping. `[api] shutdown_seconds` limits that time."""
        if self._is_stopping:
            now = time.monotonic()
            self._notifier.extend(now)
            self._notifier.ping(now)
