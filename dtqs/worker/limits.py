"""Interrupts the main thread at a time limit, a cancel, a stop, or the end of its lease. Also beats for the supervisor.

A thread checks ten times a second and acts on queued signals. It sends a signal that raises Interrupted inside the
processor. It repeats this, since code may catch even that. The supervisor kills an attempt that catches all of them.
"""

import enum
import logging
import math
import os
import signal
import threading
import time
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]  # takes a tenth of signal.getsignal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from dtqs import sink
from dtqs.repeated_fault import RepeatedFaults
from dtqs.scoreboard import Slot
from dtqs.worker import forked
from dtqs.worker.descendants import kill_descendants
from dtqs.worker.own_lease import OwnLease

logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.1
_OWN_SECONDS = 0.1
"""This much of each report counts as time of the attempt: else endless reports would never meet the time limit."""
_AGAIN_SECONDS = 1.0
_LAST_WORDS_SECONDS = 0.1
_OBEY_SECONDS = 0.3
UNMASK_SECONDS = 0.0001
"""The signal is unblocked at most this often. It takes up to 1 µs, a fifth of a tiny task, so 1 % of the time."""
_OURS = (int(signal.SIGUSR1),)
_Moment = tuple[str | None, float, float]


class Reason(enum.Enum):
    TIME_LIMIT = "time limit"
    CANCEL = "cancel"
    STOP = "stop"
    CPU_LIMIT = "processor time"
    LEASE = "end of its lease"


_WITHOUT_KILL = (Reason.STOP, Reason.LEASE)
"""For these the supervisor has limits of its own, which do not blame the task."""


class Interrupted(BaseException):
    """Interrupts the `run` of a processor. It is not an Exception, so `except Exception` does not catch it."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request to interrupt one attempt. Its task id tells it from the next attempt, which may begin meanwhile."""

    task_id: str
    reason: Reason
    at: float


class AttemptLimits:
    """Interrupts one attempt at a time, between `arm` and `disarm`."""

    def __init__(self, slot: Slot, hard_limit_seconds: float, lease: OwnLease | None = None) -> None:
        """Make the limits. Without `lease`, no attempt ends for it: only tests do this."""
        self._slot, self._hard = slot, hard_limit_seconds
        self.lease = lease or OwnLease(slot, math.inf)
        self._main = threading.main_thread().ident or 0
        self._armed: str | None = None
        self._deadline = 0.0
        self._request: _Request | None = None
        self._again_at = self._unmask_at = 0.0
        self._stopping = self._is_deferring = False
        self.cpu_until = math.inf
        """The processor time at which the attempt ends, although C code keeps SIGXCPU from its handler."""
        self._ended = False
        self._odd: _Moment | None = None
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._acts: dict[int, Callable[[], None]] = {}
        self._handler: Callable[[int, FrameType | None], None] | None = None
        self._thread = threading.Thread(target=self._watch, name="limits", daemon=True)

    def on_signal(self, number: int, act: Callable[[], None]) -> None:
        """Let the thread call `act` at each such signal. Call it in the main thread, before `start`."""
        self._acts[number] = act
        # a handler in C: Interrupted, which another handler of this thread raises, cannot leave it halfway
        signal.signal(number, self._signals.put)  # type: ignore[arg-type]

    def start(self) -> None:
        self._handler = self._handle
        signal.signal(signal.SIGUSR1, self._handler)
        signal.signal(signal.SIGXCPU, self._handle_spent_cpu)
        forked.give_defaults((*self._acts, signal.SIGUSR1, signal.SIGXCPU))
        self._thread.start()

    def stop(self) -> None:
        self._ended = True

    def arm(self, task_id: str, limit_seconds: float) -> None:
        """Begin an attempt in the calling main thread, and tell the supervisor when to kill it."""
        now = time.monotonic()
        if now >= self.lease.look_at and self.lease.is_ending(now):
            raise Interrupted(Reason.LEASE)
        self._request, self._deadline, self._is_deferring = None, now + limit_seconds, False
        self._slot.kill_at(self._deadline + self._hard)
        # the previous attempt may have replaced the handler; without one the signal would end the process
        if self._handler is not None and getsignal(signal.SIGUSR1) is not self._handler:
            signal.signal(signal.SIGUSR1, self._handler)
        if now >= self._unmask_at:
            self._unmask_at = now + UNMASK_SECONDS
            pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
        self._armed = task_id

    def disarm(self) -> None:
        """End the attempt: from now on nothing is raised."""
        self._armed, self._is_deferring = None, False
        self._slot.kill_at(0.0)  # the next steps may wait for PostgreSQL, and are not the attempt's time

    def cancel(self, task_ids: list[str]) -> None:
        """Interrupt the attempt if it is one of these tasks. Callable from any thread."""
        armed = self._armed
        if armed is not None and armed in task_ids:
            self._interrupt(armed, Reason.CANCEL)

    def stop_attempt(self) -> None:
        """Interrupt the running attempt, because the worker must stop. Callable from any thread."""
        self._stopping = True
        armed = self._armed
        if armed is not None:
            self._interrupt(armed, Reason.STOP)

    @contextmanager
    def interrupts_deferred(self) -> Iterator[None]:
        """Defer interrupts to the end of the block, in which the main thread talks to PostgreSQL or holds a lock.

        The time limit moves by the time of the block beyond `_OWN_SECONDS`: a slow database is not the attempt's fault.
        In other threads this does nothing.
        """
        if threading.get_ident() != self._main:
            yield
            return
        began = time.monotonic()
        try:
            self._is_deferring = True
            self._slot.kill_at(0.0)
            yield
        finally:
            now = time.monotonic()
            self._deadline += max(0.0, now - began - _OWN_SECONDS)
            self._is_deferring = False  # first, since another step may fail
            self._slot.kill_at(self._deadline + self._hard)
        armed = self._armed
        # the thread may never find an attempt with endless reports outside of a report
        if armed is not None and now >= self._deadline and self._pending() is None:
            self._request = _Request(armed, Reason.TIME_LIMIT, now)
        self._raise_if_requested()

    def _pending(self) -> "_Request | None":
        """Return the request to interrupt the armed attempt, if there is one."""
        request = self._request
        return request if request is not None and request.task_id == self._armed else None

    def _interrupt(self, armed: str, reason: Reason) -> None:
        if self._armed == armed and self._pending() is None:
            self._request = _Request(armed, reason, time.monotonic())
            self._send_own_signal()

    def _send_own_signal(self) -> None:
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        signal.pthread_kill(self._main, signal.SIGUSR1)

    def _handle(self, _: int, __: FrameType | None) -> None:
        # runs in the main thread: in the processor, or near it between arm and disarm, where Interrupted is caught, too
        if not self._is_deferring:
            self._raise_if_requested()

    def _handle_spent_cpu(self, _: int, __: FrameType | None) -> None:
        # the kernel sends it again each second
        armed = self._armed
        if armed is not None and self._pending() is None:
            self._request = _Request(armed, Reason.CPU_LIMIT, time.monotonic())
        if not self._is_deferring:
            self._raise_if_requested()

    def _raise_if_requested(self) -> None:
        """Raise Interrupted in the main thread if there is a request."""
        request = self._pending()
        if request is None:
            return
        if request.reason not in _WITHOUT_KILL:
            # from now on the supervisor kills an attempt that does not end
            self._slot.kill_at(request.at + self._hard)
        raise Interrupted(request.reason)

    def _watch(self) -> None:
        faults = RepeatedFaults(logger)
        while not self._ended:
            self._slot.beat()
            try:
                self._handle_queued_signal()
                self._check_limits()
                self._correct_kill_time()
            except Exception as error:  # without this thread, the supervisor would kill the worker for its silence
                faults.tell("the check of the time limit failed: it is repeated", error)

    def _handle_queued_signal(self) -> None:
        """Wait for a signal for one tick at most, and act on it."""
        try:
            number = self._signals.get(timeout=_TICK_SECONDS)
        except Empty:
            return
        self._acts[number]()

    def _check_limits(self) -> None:
        """Interrupt the attempt if its time limit is over, or a request is pending."""
        armed, now = self._armed, time.monotonic()
        if armed is None:
            return
        if now >= self.lease.look_at and self.lease.is_ending(now):
            self._end_before_others(armed, now)
        if self._pending() is not None:
            if now >= self._again_at:
                self._send_own_signal()
        elif now >= self._deadline and not self._is_deferring:
            self._interrupt(armed, Reason.TIME_LIMIT)
        elif time.process_time() >= self.cpu_until:
            self._interrupt(armed, Reason.CPU_LIMIT)
        elif self._stopping:  # the stop came between two attempts
            self._interrupt(armed, Reason.STOP)

    def _kill_time(self) -> float:
        """Return when the supervisor should kill this process, by the state of the attempt."""
        if self._armed is None or self._is_deferring:
            return 0.0
        request = self._pending()
        late = request is not None and request.reason not in _WITHOUT_KILL
        return (request.at if request is not None and late else self._deadline) + self._hard

    def _correct_kill_time(self) -> None:
        """Write the kill time for a main thread that cannot: C code may run for hours before it obeys a cancel.

        The main thread may write another one at the same moment. So a difference must last for two ticks, and a wrong
        correction lasts until the next ones.
        """
        moment = self._armed, self._kill_time(), self._slot.kill_time()
        if moment[1] == moment[2]:
            self._odd = None
        elif moment != self._odd:
            self._odd = moment
        else:
            self._slot.kill_at(moment[1])
            if (self._armed, self._kill_time()) != moment[:2]:  # a new attempt has begun meanwhile
                self._slot.kill_at(self._kill_time())

    def _end_before_others(self, armed: str, now: float) -> None:
        """Interrupt the attempt, since no heartbeat reaches PostgreSQL. End this process if the attempt goes on."""
        pending = self._pending()
        # after a freeze of the machine the interrupt comes first
        if pending is not None and now - pending.at >= _OBEY_SECONDS and self.lease.has_ended(now):
            logger.error("the lease has ended, and its attempt has not: stopping at once", extra={"task_id": armed})
            kill_descendants()
            sink.finish(_LAST_WORDS_SECONDS)
            os._exit(os.EX_TEMPFAIL)
        if pending is None:
            logger.warning(
                "attempt interrupted: no heartbeat reaches PostgreSQL, and others may soon take its lease",
                extra={"task_id": armed},
            )
            self._interrupt(armed, Reason.LEASE)
