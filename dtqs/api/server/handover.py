"""All that the API's master leaves to the program that replaces it in the same process at a reload.

The listening sockets stay open, and the old processes serve until the new program has started theirs.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from dtqs.errors import ConfigError

FORMAT = 1
"""Raise it when the meaning of this state changes: the new program then ends, and the service manager starts one."""
HANDLED = frozenset(
    {
        signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTTIN, signal.SIGTTOU,
        signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    }
)  # fmt: skip
"""The signals that gunicorn's arbiter handles."""
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ApiHandover:
    """The state of a master between its two programs."""

    format: int
    pid: int
    listeners: list[int]
    bind: list[str]
    is_activated: bool
    processes: dict[str, int]
    """The descriptor of each process's sign of life, by pid."""
    served_at: float
    was_ready: bool

    def write(self) -> int:
        """Return the descriptor of the written state."""
        descriptor = os.memfd_create("dtqs api handover", os.MFD_CLOEXEC)
        with open(os.dup(descriptor), "wb") as file:
            file.write(json.dumps(asdict(self)).encode())
        return descriptor

    @classmethod
    def take(cls, descriptor: int) -> "ApiHandover":
        """Read the state that this process has left to itself. Raises ConfigError."""
        try:
            with open(descriptor, "rb") as file:
                file.seek(0)
                state = json.loads(file.read(_MOST_BYTES))
            if state["format"] != FORMAT or state["pid"] != os.getpid():
                raise ValueError("it is for another version or another process")
            handover = cls(**state)
            for each in handover.processes.values():
                os.set_inheritable(each, False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError([f"--adopt {descriptor}: no state of an API: {error}"]) from error
        return handover

    @property
    def descriptors(self) -> list[int]:
        """The open files that the new program needs."""
        return [*self.listeners, *self.processes.values()]

    def adopted(self) -> dict[int, "AdoptedProcess"]:
        """Return the old processes, for gunicorn."""
        return {
            int(pid): AdoptedProcess(int(pid), SignOfLife(descriptor)) for pid, descriptor in self.processes.items()
        }

    def end_processes(self) -> None:
        """Let the old processes end in order: their master cannot go on."""
        for pid in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)


class SignOfLife:
    """The file that a process touches, as the arbiter reads it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def last_update(self) -> float:
        return os.fstat(self._descriptor).st_mtime

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class AdoptedProcess:
    """An API process of the program before, as the arbiter knows one."""

    age = 0
    """The arbiter ends the oldest processes first, and its own are older than this."""

    def __init__(self, pid: int, tmp: SignOfLife) -> None:
        self.pid, self.tmp, self.aborted = pid, tmp, False


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back the arbiter's signals, also over an execution: the new program obeys them when it has its handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_through() -> None:
    """End what `signals_held` has begun in the program before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
