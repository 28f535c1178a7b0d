"""Interrupting the main thread: at a task's time limit, at its cancel, when the worker must stop. Also the sign of life for the supervisor.

A small thread looks ten times a second, and acts on signals, whose handlers only enqueue. Its own signal has Interrupted raised in the main thread,
out of the processor; again and again, since code may swallow even that. The supervisor kills an attempt that swallows all of them.
"""

import enum
import logging
import signal
import threading
import time
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]  # a tenth of signal.getsignal: it looks for no name
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from dtqs.scoreboard import Slot

logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.1
_OWN_SECONDS = 0.1
"""So much of each report is the attempt's own time, however it is spent: else an attempt that reports without end would never run into its limit."""
_AGAIN_SECONDS = 1.0
UNMASK_SECONDS = 0.0001
"""So often at most the mask is looked at: that takes up to a microsecond, a fifth of what a tiny task costs, and so a hundredth of the time."""
_OURS = (int(signal.SIGUSR1),)


class Reason(enum.Enum):
    TIME_LIMIT = "time limit"
    CANCEL = "cancel"
    STOP = "stop"


class Interrupted(BaseException):
    """Raised inside a processor's `run`. Not an Exception, so that ordinary handlers let it through."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


@dataclass(frozen=True, slots=True)
class _Request:
    """Which attempt is to be interrupted: it may end and the next one begin while another thread says so."""

    task_id: str
    reason: Reason
    at: float


class AttemptLimits:
    """Arms and disarms around each attempt; one attempt at a time."""

    def __init__(self, slot: Slot, hard_limit_seconds: float) -> None:
        self._slot, self._hard = slot, hard_limit_seconds
        self._main = threading.main_thread().ident or 0
        self._armed: str | None = None
        self._deadline = 0.0
        self._request: _Request | None = None
        self._again_at = self._unmask_at = 0.0
        self._stopping = self._masked = False
        self._ended = False
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._acts: dict[int, Callable[[], None]] = {}
        self._handler: Callable[[int, FrameType | None], None] | None = None
        self._thread = threading.Thread(target=self._watch, name="limits", daemon=True)

    def hear(self, number: int, act: Callable[[], None]) -> None:
        """Have the watching thread do this whenever the signal comes. Call it in the main thread, before `start`."""
        self._acts[number] = act
        # a handler in C, which Interrupted cannot leave halfway: it comes out of another handler of the same thread
        signal.signal(number, self._signals.put)  # type: ignore[arg-type]

    def start(self) -> None:
        self._handler = self._handle
        signal.signal(signal.SIGUSR1, self._handler)
        self._thread.start()

    def stop(self) -> None:
        self._ended = True

    def arm(self, task_id: str, limit_seconds: float) -> None:
        """An attempt begins in the calling main thread; the supervisor is told until when it may run at all."""
        now = time.monotonic()
        self._request, self._deadline = None, now + limit_seconds
        self._slot.kill_at(self._deadline + self._hard)
        # the attempt before may have set another; without one the signal would end the process
        if self._handler is not None and getsignal(signal.SIGUSR1) is not self._handler:
            signal.signal(signal.SIGUSR1, self._handler)
        if now >= self._unmask_at:
            self._unmask_at = now + UNMASK_SECONDS
            pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
        self._armed = task_id

    def disarm(self) -> None:
        """It has ended: nothing is raised from here on."""
        self._armed = None
        self._slot.kill_at(0.0)  # what follows may wait for PostgreSQL, and is not the attempt's time

    def cancel(self, task_ids: list[str]) -> None:
        """Interrupt the attempt if it is of one of these tasks; from any thread."""
        armed = self._armed
        if armed is not None and armed in task_ids:
            self._interrupt(armed, Reason.CANCEL)

    def stop_attempt(self) -> None:
        """Interrupt whatever runs: the worker must stop; from any thread."""
        self._stopping = True
        armed = self._armed
        if armed is not None:
            self._interrupt(armed, Reason.STOP)

    @contextmanager
    def masked(self) -> Iterator[None]:
        """Raise nothing within: the main thread talks to PostgreSQL or holds a lock for its task. Raised right afterwards.

        A stall of the database is not the attempt's time: the limit moves by as much. Other threads are not interrupted, and move nothing.
        """
        if threading.get_ident() != self._main:
            yield
            return
        self._masked, began = True, time.monotonic()
        self._slot.kill_at(0.0)
        try:
            yield
        finally:
            now = time.monotonic()
            self._deadline += max(0.0, now - began - _OWN_SECONDS)
            self._slot.kill_at(self._deadline + self._hard)
            self._masked = False
        armed = self._armed
        # the watching thread may never meet an attempt that reports without end outside of a report
        if armed is not None and now >= self._deadline and self._wanted() is None:
            self._request = _Request(armed, Reason.TIME_LIMIT, now)
        self._obey()

    def _wanted(self) -> "_Request | None":
        """The request to interrupt the armed attempt, if there is one."""
        request = self._request
        return request if request is not None and request.task_id == self._armed else None

    def _interrupt(self, armed: str, reason: Reason) -> None:
        if self._armed == armed and self._wanted() is None:
            self._request = _Request(armed, reason, time.monotonic())
            self._raise()

    def _raise(self) -> None:
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        signal.pthread_kill(self._main, signal.SIGUSR1)

    def _handle(self, _: int, __: FrameType | None) -> None:
        # in the main thread; between arm and disarm it is inside the processor, or a step beside it where Interrupted is caught as well
        if not self._masked:
            self._obey()

    def _obey(self) -> None:
        """In the main thread: interrupt the attempt, if it is to be."""
        request = self._wanted()
        if request is None:
            return
        if request.reason is not Reason.STOP:
            # what does not end now is killed by the supervisor, which has its own time for a stop
            self._slot.kill_at(request.at + self._hard)
        raise Interrupted(request.reason)

    def _watch(self) -> None:
        while not self._ended:
            self._slot.beat()
            try:
                self._obey_signal()
                self._look()
            except Exception:  # a thread that ends here would have its worker killed for silence
                logger.exception("the time limit's turn failed")

    def _obey_signal(self) -> None:
        """Wait for a signal, for one tick at most, and act on it."""
        try:
            number = self._signals.get(timeout=_TICK_SECONDS)
        except Empty:
            return
        self._acts[number]()

    def _look(self) -> None:
        """Interrupt the attempt if it is time."""
        armed, now = self._armed, time.monotonic()
        if armed is None:
            return
        if self._wanted() is not None:
            if now >= self._again_at:
                self._raise()
        elif now >= self._deadline and not self._masked:
            self._interrupt(armed, Reason.TIME_LIMIT)
        elif self._stopping:  # the request came between two attempts
            self._interrupt(armed, Reason.STOP)
