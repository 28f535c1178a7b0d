"""Tells whether the kernel has just killed a process of this control group for lack of memory; for messages only."""

import re
from pathlib import Path

RECENT_SECONDS = 2.0
"""The counter rises when the kernel chooses the victim. A large process takes a while to die."""


class OomWatch:
    """Reads the counter of such kills, and remembers when it last rose."""

    def __init__(self, counter: Path | None) -> None:
        self._counter = counter
        self._count = self._read()
        self._rose_at = float("-inf")

    @classmethod
    def of_own_group(cls) -> "OomWatch":
        return cls(find_counter(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))

    def update(self, now: float) -> None:
        """Read the counter. Call it at least once a second."""
        count = self._read()
        if count > self._count:
            self._rose_at = now
        self._count = count

    def struck(self, now: float) -> bool:
        """Tell whether such a kill happened in the last two seconds."""
        return now - self._rose_at <= RECENT_SECONDS

    def _read(self) -> int:
        try:
            found = re.search(r"^oom_kill (\d+)$", self._counter.read_text() if self._counter else "", re.MULTILINE)
        except OSError:
            return 0
        return int(found[1]) if found else 0


def find_counter(membership: Path, root: Path) -> Path | None:
    """Return the file with the counter, for both versions of control groups. `membership` is /proc/PID/cgroup."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return None
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if "memory" in controllers.split(","):
            return root / "memory" / path.lstrip("/") / "memory.oom_control"
    return next((root / path.lstrip("/") / "memory.events" for _, controllers, path in lines if not controllers), None)
