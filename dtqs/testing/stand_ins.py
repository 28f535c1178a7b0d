"""Stand-ins for the parts of a worker: reports in lists, inputs from memory, a time limit by an alarm."""

import math
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from dtqs.config import FilesSection
from dtqs.errors import InputRefused, Postponed, TransientError
from dtqs.files import FileSpace
from dtqs.task import LIGHT_EFFECT, Effect
from dtqs.testing.attempt import LogEntry, Progress
from dtqs.turn import Turn
from dtqs.worker.limits import Interrupted, Reason


class RecordingReporter:
    """A Reporter that keeps all reports, refuses the turns of given keys, and interrupts at a given progress."""

    def __init__(self, is_light: bool, interrupts: Mapping[Reason, float], waits: Mapping[str, float]) -> None:
        self.all_progress, self.logs = list[Progress](), list[LogEntry]()
        self.effects, self.turns = list[Effect](), list[Turn]()
        self._is_light, self._interrupts, self._waits = is_light, interrupts, waits

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        self.all_progress.append(Progress(fraction, message))
        for reason, at in self._interrupts.items():
            if fraction >= at:
                raise Interrupted(reason)

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Any) -> None:
        self.logs.append(LogEntry(level, message, data))

    def take(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            if turn.key in self._waits:
                raise Postponed(
                    self._waits[turn.key], f"the rate limit {turn.key} allows {turn.per_second:g} turns a second"
                )
        self.turns += turns

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        if self._is_light:
            raise TransientError(LIGHT_EFFECT)
        self.effects.append(effect)


class Files(FileSpace):
    """A file space with given contents of sources: bytes, or the path of a file."""

    def __init__(self, folder: Path, inputs: Mapping[str, bytes | Path]) -> None:
        super().__init__(FilesSection(directory=folder / "files"))
        self._inputs, self._folder = dict(inputs), folder

    def open_input(self, uri: str) -> BinaryIO:
        if uri not in self._inputs:
            known = ", ".join(self._inputs) or "none"
            raise InputRefused(uri, f"the test gives no such input; add it to run(..., inputs=...), which has: {known}")
        content = self._inputs[uri]
        if isinstance(content, bytes):
            path = self._folder / f"input-{list(self._inputs).index(uri)}"
            path.write_bytes(content)
            content = path
        return open(content, "rb")


class AlarmLimits:
    """The limits of one attempt: SIGALRM interrupts it at its time limit, as a worker does. None means no limit.

    The kernel sends SIGXCPU at `cpu_until`, the end of its processor time. It interrupts an attempt in the main thread.
    In another thread no handler can be set, so it ends the process.
    """

    def __init__(self, seconds: float | None) -> None:
        self._takes_signals = threading.current_thread() is threading.main_thread()
        if seconds is not None and not self._takes_signals:
            raise ValueError(
                "timeout_seconds works only in the main thread, since a signal interrupts the attempt; call run() there"
            )
        self._seconds = seconds
        self.cpu_until = math.inf
        self._restore: list[Callable[[], object]] = []

    def arm(self, task_id: str, limit_seconds: float) -> None:
        if self.cpu_until < math.inf and self._takes_signals:
            self._handle(signal.SIGXCPU, Reason.CPU_LIMIT)
        if self._seconds is not None:
            self._handle(signal.SIGALRM, Reason.TIME_LIMIT)
            timer = signal.setitimer(signal.ITIMER_REAL, self._seconds, 1.0)
            self._restore.append(lambda: signal.setitimer(signal.ITIMER_REAL, *timer))

    def disarm(self) -> None:
        while self._restore:
            self._restore.pop()()

    def _handle(self, number: signal.Signals, reason: Reason) -> None:
        def interrupt(_: int, __: FrameType | None) -> None:
            raise Interrupted(reason)

        handler = signal.signal(number, interrupt)
        self._restore.append(lambda: signal.signal(number, handler))
