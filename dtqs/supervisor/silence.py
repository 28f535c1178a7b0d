"""Facts about a child that gives no sign of life, before it is killed: how its threads stand, and their stacks.

A child that is kept from running is no dead one: where the machine is starved, it is given more time.
"""

import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
DUMP_SIGNAL = signal.SIGUSR2
"""Has a child write the stacks of its threads, also while a call in C holds Python's lock (faulthandler)."""
LAST_WORD_SECONDS = 1.0
"""Between the question and the kill."""
PATIENCE = 3.0
"""A starved child may be silent for so many times the limit."""
_MOST_DUMPS = 10
_MOST_THREADS = 50
_STARVED_SHARE = 0.5
"""The part of the time between two looks that a thread waited for a processor."""
_RAN_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class ThreadState:
    """How one thread stands. How long it has run, and waited for a processor, in all; 0 where the kernel does not tell."""

    name: str
    state: str
    ran_seconds: float
    waited_seconds: float
    where: str

    def __str__(self) -> str:
        return f"{self.name} {self.state} {self.where}".strip()


Threads = dict[str, ThreadState]


def look(pid: int) -> Threads:
    """Return the threads of a process by their ids; none where it is gone."""
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
    """Tell whether a thread was kept from running between two looks: it waited for a processor, or all the while for a disk (state D)."""
    return any(_is_kept(before[thread], now, seconds) for thread, now in after.items() if thread in before)


def _is_kept(then: ThreadState, now: ThreadState, seconds: float) -> bool:
    if now.state == then.state == "D" or now.waited_seconds - then.waited_seconds >= _STARVED_SHARE * seconds:
        return True
    # the kernel adds up the wait when it is over; one that goes on shows as a thread that could run and does not
    return (
        now.state == then.state == "R"
        and now.ran_seconds > 0
        and now.ran_seconds - then.ran_seconds < _RAN_SHARE * seconds
    )


class Inquest:
    """Asks a silent child once, and tells when it may be killed."""

    def __init__(self, pid: int, since: float, now: float) -> None:
        self._pid, self._since, self._looked_at = pid, since, now
        self._threads = look(pid)
        self._told = False
        if _catches(pid, DUMP_SIGNAL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, DUMP_SIGNAL)

    def account(self, now: float, limit_seconds: float) -> str | None:
        """Return how its threads stand, when it may be killed; None: wait."""
        passed = now - self._looked_at
        if passed < LAST_WORD_SECONDS:
            return None
        before, self._threads, self._looked_at = self._threads, look(self._pid), now
        if is_starved(before, self._threads, passed) and now - self._since < PATIENCE * limit_seconds:
            if not self._told:
                self._told = True
                logger.warning(
                    "child gets no time on this machine: it is waited for",
                    extra={"pid": self._pid, "threads": self._words()},
                )
            return None
        return self._words()

    def _words(self) -> str:
        return "; ".join(map(str, self._threads.values()))


def stacks_file(folder: Path, child: str) -> Path:
    """Return where a child writes its stacks."""
    return folder / f"stacks-{child.replace('/', '-')}"


def keep_stacks(folder: Path, child: str, pid: int) -> str | None:
    """Keep what a child has written from its successor, and return where; None where there is nothing. Only the last few are kept."""
    file = stacks_file(folder, child)
    kept = folder / f"{file.name}-of-{pid}"
    try:
        if not file.stat().st_size:
            return None
        os.replace(file, kept)
        for old in sorted(folder.glob("stacks-*-of-*"), key=lambda each: each.stat().st_mtime_ns, reverse=True)[
            _MOST_DUMPS:
        ]:
            old.unlink()
    except OSError:
        return None
    return str(kept)


def _catches(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for the signal: without one it would end of it."""
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
