"""Runs blocking calls on files in threads: a network disk may not answer for minutes, and would stop every stream.

The threads are not gevent's own ones, which look up the names of hosts: a stalled disk must not stop reconnects.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent.event import AsyncResult
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from dtqs.errors import FilesUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")
THREADS = 16
_PATIENCE_SECONDS = 10.0
"""If no thread has come back for this time, the disk stalls. A slow disk that goes on is waited for."""
_KILLED_WAIT_SECONDS = 60.0


class FileThreads:
    """The threads for files of one process. The first call makes the pool, after the fork."""

    def __init__(self, most: int = THREADS, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._most, self._patience = most, patience_seconds
        self._free, self._ended_at = Semaphore(most), 0.0
        self._pool: ThreadPool | None = None

    def run(self, call: Callable[..., T], *arguments: object, undo: Callable[[T], object] | None = None) -> T:
        """Run a call in a thread and wait for it. Raises FilesUnavailable if all threads stall, and errors of the call.

        A killed request still waits: its files must not be closed while the thread uses them. Nobody takes the value
        then, so `undo` gets it, in a thread.
        """
        self._wait_for_thread()
        running = self._begin(call, *arguments)
        try:
            value, error = running.get()
        except BaseException:
            running.wait(_KILLED_WAIT_SECONDS)
            if undo is not None:
                self._undo(running, undo)
            raise
        if error is not None:
            raise error
        result: T = value
        return result

    def later(self, call: Callable[..., object], *arguments: object) -> None:
        """Run a call as soon as a thread is free, however long that takes, without waiting for it. Log its error."""
        if self._free.acquire(blocking=False):
            self._begin(call, *arguments).rawlink(_note)
        else:
            gevent.spawn(self._run_later, call, *arguments)

    def _run_later(self, call: Callable[..., object], *arguments: object) -> None:
        self._free.acquire()
        self._begin(call, *arguments).rawlink(_note)

    def _begin(self, call: Callable[..., object], *arguments: object) -> AsyncResult:
        """Run a call in a thread that was taken, and free the thread at its end."""
        self._pool = self._pool or ThreadPool(self._most)
        running = self._pool.spawn(_answer, call, *arguments)
        running.rawlink(self._end)
        return running

    def _end(self, _: object) -> None:
        self._ended_at = time.monotonic()
        self._free.release()

    def _wait_for_thread(self) -> None:
        began = time.monotonic()
        while not self._free.acquire(timeout=self._left(began)):
            if self._left(began) <= 0:
                raise FilesUnavailable(
                    f"all {self._most} threads for files are busy, and none has ended for {self._patience:g} s: "
                    "the disk does not answer"
                )

    def _left(self, began: float) -> float:
        return max(0.0, max(began, self._ended_at) + self._patience - time.monotonic())

    def _undo(self, running: AsyncResult, undo: Callable[[T], object]) -> None:
        def ended(done: AsyncResult) -> None:
            if done.successful() and done.value[1] is None:
                self.later(undo, done.value[0])

        running.rawlink(ended)


def _answer(call: Callable[..., Any], *arguments: object) -> tuple[Any, Exception | None]:
    """Run a call in a thread, and return its value or its error. gevent would print a traceback for each error."""
    try:
        return call(*arguments), None
    except Exception as error:
        return None, error


def _note(done: AsyncResult) -> None:
    if done.successful() and done.value[1] is not None:
        logger.warning("a file was not closed or removed", extra={"reason": str(done.value[1])})
