"""Facts about a silent child before it is killed: the states and the stacks of its threads.

A child that the machine keeps from running is not dead: it gets more time.
"""

import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
DUMP_SIGNAL = signal.SIGUSR2
"""Makes a child write the stacks of its threads (faulthandler), also while C code holds Python's lock."""
ANSWER_SECONDS = 1.0
"""Between the request for stacks and the kill."""
PATIENCE = 3.0
"""A starved child may be silent for this many times the limit."""
_MOST_DUMPS = 10
_MOST_THREADS = 50
_STARVED_SHARE = 0.5
"""A thread is starved if it waited for a processor for this share of the time between two looks."""
_RAN_SHARE = 0.05
"""A runnable thread is starved if it ran for less than this share."""


@dataclass(frozen=True, slots=True)
class ThreadState:
    """The state of one thread, and its total times of running and of waiting for a processor (0 if unknown)."""

    name: str
    state: str
    ran_seconds: float
    waited_seconds: float
    where: str

    def __str__(self) -> str:
        return f"{self.name} {self.state} {self.where}".strip()


Threads = dict[str, ThreadState]


def read_threads(pid: int) -> Threads:
    """Return the threads of a process by their ids. For an ended process the result is empty."""
    threads: Threads = {}
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task")[:_MOST_THREADS]:
            place = f"/proc/{pid}/task/{thread}"
            name, _, rest = _read(f"{place}/stat").partition("(")[2].rpartition(") ")
            ran, waited = _times(_read(f"{place}/schedstat"))
            where = f"{_read(f'{place}/wchan')} {_read(f'{place}/syscall').partition(' ')[0]}"
            threads[thread] = ThreadState(name, rest[:1] or "?", ran, waited, where.strip())
    return threads


def is_starved(before: Threads, after: Threads, seconds: float) -> bool:
    """Tell whether the machine kept a thread from running between two looks: no processor, or a slow disk (state D)."""
    return any(_is_kept(before[thread], now, seconds) for thread, now in after.items() if thread in before)


def _is_kept(then: ThreadState, now: ThreadState, seconds: float) -> bool:
    if now.state == then.state == "D" or now.waited_seconds - then.waited_seconds >= _STARVED_SHARE * seconds:
        return True
    # the kernel counts a wait only at its end; during the wait the thread is runnable and does not run
    return (
        now.state == then.state == "R"
        and now.ran_seconds > 0
        and now.ran_seconds - then.ran_seconds < _RAN_SHARE * seconds
    )


class Inquest:
    """Asks a silent child once for its stacks, and decides when it may be killed."""

    def __init__(self, pid: int, since: float, now: float) -> None:
        self._pid, self._since, self._looked_at = pid, since, now
        self._threads = read_threads(pid)
        self._is_logged = False
        if _catches(pid, DUMP_SIGNAL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, DUMP_SIGNAL)

    def report(self, now: float, limit_seconds: float) -> str | None:
        """Return the states of its threads if it may be killed, or None if it must be given more time."""
        passed = now - self._looked_at
        if passed < ANSWER_SECONDS:
            return None
        before, self._threads, self._looked_at = self._threads, read_threads(self._pid), now
        if is_starved(before, self._threads, passed) and now - self._since < PATIENCE * limit_seconds:
            if not self._is_logged:
                self._is_logged = True
                logger.warning(
                    "child is silent because the machine keeps it from running: it gets more time",
                    extra={"pid": self._pid, "threads": self._text()},
                )
            return None
        return self._text()

    def _text(self) -> str:
        return "; ".join(map(str, self._threads.values()))


def stacks_file(folder: Path, child: str) -> Path:
    """Return the file to which a child writes its stacks."""
    return folder / f"stacks-{child.replace('/', '-')}"


def set_stacks_aside(folder: Path, child: str, pid: int) -> None:
    """Rename the file of a child that leaves: its successor writes to one of the same name."""
    with contextlib.suppress(OSError):
        os.replace(stacks_file(folder, child), _aside(folder, child, pid))


def drop_stacks(folder: Path, child: str, pid: int) -> None:
    """Remove the file of a child that has left."""
    with contextlib.suppress(OSError):
        _aside(folder, child, pid).unlink()


def _aside(folder: Path, child: str, pid: int) -> Path:
    file = stacks_file(folder, child)
    return folder / f"{file.name}-leaving-{pid}"


def keep_stacks(folder: Path, child: str, pid: int) -> str | None:
    """Rename the stacks of a child, so that its successor does not overwrite them, and return the path.

    Without stacks return None. Remove all but the newest such files.
    """
    file = stacks_file(folder, child)
    kept = folder / f"{file.name}-of-{pid}"
    if (aside := _aside(folder, child, pid)).exists():
        file = aside
    try:
        if not file.stat().st_size:
            return None
        os.replace(file, kept)
        dumps = sorted(folder.glob("stacks-*-of-*"), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for old in dumps[_MOST_DUMPS:]:
            old.unlink()
    except OSError:
        return None
    return str(kept)


def _catches(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for the signal. Without one, the signal would end it."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _times(schedstat: str) -> tuple[float, float]:
    ran, waited, *_ = [*map(int, schedstat.split()), 0, 0]
    return ran / 1e9, waited / 1e9


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(8192).strip()
    except OSError:
        return ""
