"""Tells the service manager the state of the node (sd_notify): one datagram each. Errors are ignored."""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_EXTENSION_SECONDS = 10.0
_EXTEND_EVERY_SECONDS = 2.0


class Notifier:
    """Sends the datagrams of a process to its service manager. Children inherit neither the address nor a socket."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        # half of the limit, as sd_watchdog_enabled(3) advises
        self._ping_every = watchdog_seconds / 2 if watchdog_seconds else None
        self._next_ping = self._next_extension = 0.0
        self._status = ""
        self.was_ready = False
        self.environment: dict[str, str] = {}
        """The variables that `from_environment` has removed. A program that this process executes needs them."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """Remove address and watchdog from the environment, so that no child finds them there."""
        found = {name: environment.pop(name) for name in _VARIABLES if name in environment}
        usec, pid = found.get("WATCHDOG_USEC", ""), found.get("WATCHDOG_PID", "")
        meant = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
        notifier = cls(found.get("NOTIFY_SOCKET"), int(usec) / 1e6 if meant else None)
        notifier.environment = found
        return notifier

    @property
    def turn_seconds(self) -> float:
        """The longest time between two calls of `ping`."""
        return self._ping_every / 2 if self._ping_every else float("inf")

    def ready(self) -> None:
        self.was_ready = True
        self._send("READY=1")

    def reloaded(self) -> None:
        """Report the end of a reload. Before the first `ready` it would be a false start."""
        if self.was_ready:
            self.ready()

    def reloading(self) -> None:
        if self.was_ready:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show a text in the status of the unit. It is sent only if it has changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def ping(self, now: float) -> None:
        """Report that the supervisor's loop still runs."""
        if self._ping_every and now >= self._next_ping:
            self._next_ping = now + self._ping_every
            self._send("WATCHDOG=1")

    def allow_silence(self, seconds: float) -> None:
        """Let the watchdog wait this long, while this process executes a program. `end_silence` in it goes back."""
        if self._ping_every and seconds > 2 * self._ping_every:
            self._send(f"WATCHDOG_USEC={int(seconds * 1e6)}", "WATCHDOG=1")

    def end_silence(self) -> None:
        if self._ping_every:
            self._send(f"WATCHDOG_USEC={int(2e6 * self._ping_every)}", "WATCHDOG=1")

    def extend(self, now: float) -> None:
        """Ask for more time while this process ends. Its own deadlines limit that time."""
        if now >= self._next_extension:
            self._next_extension = now + _EXTEND_EVERY_SECONDS
            self._send(f"EXTEND_TIMEOUT_USEC={int(_EXTENSION_SECONDS * 1e6)}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # a restarting or slow service manager must neither end nor delay the node
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out,
        ):
            out.sendto("\n".join(lines).encode(), self._address)
