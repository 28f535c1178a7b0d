"""A child process of the sandbox. Under root it runs as an unprivileged user; it ends with all its children.

postgres.py and rabbitmq.py know the servers' arguments; stack.py restarts.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtqs.deadline import Deadline
from dtqs.errors import DtqsError
from dtqs.sandbox.processes import end_family, end_leftover, family, identity, kill_group, send
from dtqs.whole_file import WholeFile


class SandboxError(DtqsError):
    """A part of the sandbox cannot be started. The message names the remedy."""

    exit_status = os.EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user of a server if the sandbox runs as root: PostgreSQL refuses root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def choose(cls, *names: str) -> "Account | None":
        """Return the first existing user, or nobody; None unless the sandbox runs as root."""
        if os.geteuid() != 0:
            return None
        for name in (*names, "nobody"):
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(name, entry.pw_uid, entry.pw_gid)
        raise SandboxError(
            f"the servers refuse to run as root, and no user exists of: {', '.join(names)}, nobody; create one of them"
        )

    def prefix(self) -> list[str]:
        """Return the options of setpriv that select this user."""
        return ["--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups"]

    def can_reach(self, directory: Path) -> bool:
        """Return whether the user can pass through all parent folders."""
        return all(self._can_pass(parent.stat()) for parent in directory.absolute().parents if parent.exists())

    def _can_pass(self, folder: os.stat_result) -> bool:
        bit = 0o100 if folder.st_uid == self.uid else 0o010 if folder.st_gid == self.gid else 0o001
        return bool(folder.st_mode & bit)


def make_folder(path: Path, account: Account | None, mode: int = 0o700) -> None:
    """Create a folder that belongs to the server's user."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if account:
        os.chown(path, account.uid, account.gid)


def write_private(path: Path, text: str, account: Account | None = None, mode: int = 0o600) -> None:
    """Write a file atomically; only its owner may read it."""
    with WholeFile(path, mode, durable=True) as file:
        if account:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text.encode())


def _private(path: str, flags: int) -> int:
    """Open a log that only its owner may read, since it may quote tasks. Tighten the mode of an older log."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


class SandboxProcess:
    """A process in its own session. Start it from the main thread: its end sends `death_signal` to the process."""

    def __init__(
        self,
        name: str,
        pid_file: Path,
        log: Path,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: str = "KILL",
    ) -> None:
        self.name, self.log = name, log
        self._pid_file, self._account = pid_file, account
        self._stop_signal, self._death_signal = stop_signal, death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Exit status of the last process, negative for a signal; None while it runs and before the first start."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        """Process id of the last process."""
        if self._process is None:
            raise SandboxError(f"{self.name} was never started")
        return self._process.pid

    def start(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        """Start the process unless it runs. First end leftovers of an earlier one."""
        if self.alive:
            return
        if self._process:
            kill_group(self.pid)
        end_leftover(self._pid_file, Deadline(10))
        argv = [
            "setpriv",
            "--pdeathsig",
            self._death_signal,
            *(self._account.prefix() if self._account else []),
            "--",
            *command,
        ]
        with open(self.log, "ab", opener=_private) as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )
        write_private(self._pid_file, identity(self._process.pid, self._pid_file))

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process, and return whether it ended."""
        if self._process is None:
            return True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        if self._process:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Send the stop signal."""
        self.send(self._stop_signal)

    def stop(self, seconds: float) -> None:
        """Ask the process to end; after `seconds` kill it and its children. Safe to call twice and before a start."""
        if self.alive:
            self.ask_to_stop()
            if not self.wait(seconds):
                self.kill()
            kill_group(self.pid)
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the process and its descendants with SIGKILL, and wait for their end."""
        if self.alive:
            end_family(self.pid, Deadline(10))
            self.wait(10)

    def freeze(self) -> None:
        """Halt the process and its descendants."""
        # Twice: the first list misses children that start while it is read.
        for pid in family(self.pid) + family(self.pid):
            send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process and its descendants."""
        for pid in family(self.pid):
            send(pid, signal.SIGCONT)


class Program:
    """A command of DTQS that runs as a child until it is stopped."""

    def __init__(self, child: SandboxProcess, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.child = child
        self._command, self._environment = command, environment

    def start(self) -> None:
        """Start the command."""
        self.child.start(self._command, self._environment)

    def stop(self, seconds: float = 20.0) -> None:
        """Stop the command; kill it after `seconds`."""
        self.child.stop(seconds)
