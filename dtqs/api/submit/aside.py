"""A process beside an API process, for long computations: it has its own GIL, so the API's loop stays free.

It is forked before anything is opened, does one request at a time, and dies with its parent. It has no connections.
"""

import gc
import logging
import os
import pickle
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import gevent
from gevent import monkey, socket
from setproctitle import setproctitle

from dtqs import prctl, sink
from dtqs.api.submit.turns import Turns
from dtqs.errors import ExaminerBusy, Invalid

TITLE = "dtqs: api examiner"
_LENGTH = struct.Struct(">Q")
_FORK_PAUSE_SECONDS = 1.0
"""Shortest time between two forks: repeated bodies that kill the process must not cost a fork each."""
A = TypeVar("A")
R = TypeVar("R")

logger = logging.getLogger(__name__)


class Aside(Generic[A, R]):
    """Runs `work` in the process, one request at a time, each for at most `limit_seconds`."""

    def __init__(self, work: Callable[[A], R], turns: Turns, limit_seconds: float) -> None:
        self._work, self._turns, self._limit_seconds = work, turns, limit_seconds
        self._connection: Any = None
        self._pid = 0
        self._next_fork = 0.0

    def start(self) -> None:
        """Fork the process. Safe to call again after its death. Raises ExaminerBusy if the system cannot fork."""
        die_with_parent = prctl.dying_with_parent()
        self._next_fork = time.monotonic() + _FORK_PAUSE_SECONDS
        pair: tuple[Any, ...] = ()
        try:
            pair = ours, theirs = socket.socketpair()
            # not gevent's fork: the child never runs a loop
            pid = monkey.get_original("os", "fork")()
        except OSError as error:
            for end in pair:
                end.close()
            raise ExaminerBusy("the process that examines large bodies cannot be started") from error
        if pid == 0:
            try:
                die_with_parent()
                _serve(self._work, theirs.fileno())
            finally:
                os._exit(os.EX_SOFTWARE)
        theirs.close()
        self._connection, self._pid = ours, pid

    def stop(self) -> None:
        """End the process. Safe to call twice, and without a start."""
        connection, pid, self._connection, self._pid = self._connection, self._pid, None, 0
        if connection is None:
            return
        connection.close()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            monkey.get_original("os", "waitpid")(pid, 0)

    def ask(self, argument: A, key: str | None, size: int) -> R:
        """Return the work's value. `key` and `size` are for the turn. Raises the work's errors, and ExaminerBusy."""
        with self._turns.taken(key, size):
            if self._connection is None:
                gevent.sleep(max(0.0, self._next_fork - time.monotonic()))
                self.start()
            return self._asked(argument)

    def _asked(self, argument: A) -> R:
        answered = False
        try:
            with gevent.Timeout(
                self._limit_seconds, ExaminerBusy(f"a body was not examined within {self._limit_seconds:g} s")
            ):
                _send(self._connection, pickle.dumps(argument, protocol=5))
                worked, value = pickle.loads(_receive(self._connection))
            answered = True
        except (OSError, EOFError) as error:
            raise ExaminerBusy("the process that examines large bodies has died") from error
        finally:
            # a late answer would go to the next request
            if not answered:
                self.stop()
        if not worked:
            raise value
        return value  # type: ignore[no-any-return]


def _send(connection: Any, data: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(data)) + data)


def _receive(connection: Any) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(connection.recv, _LENGTH.size))
    return _exactly(connection.recv, length)


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """Read exactly `size` bytes. Raises EOFError if the other side has closed."""
    pieces: list[bytes] = []
    while size > 0:
        piece = read(min(size, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _serve(work: Callable[[A], R], connection: int) -> None:
    """Answer requests until the parent closes its end. This is the child's whole life."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the child ends with its parent
    signal.set_wakeup_fd(-1)
    os.closerange(3, connection)
    os.closerange(connection + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_blocking(connection, True)
    sink.renew()
    setproctitle(TITLE)
    gc.freeze()

    def read(size: int) -> bytes:
        return os.read(connection, size)

    while True:
        try:
            (length,) = _LENGTH.unpack(_exactly(read, _LENGTH.size))
            request = _exactly(read, length)
        except EOFError:
            os._exit(os.EX_OK)
        answer = _answer(work, request)
        left = memoryview(_LENGTH.pack(len(answer)) + answer)
        while left:
            left = left[os.write(connection, left) :]
        sink.flush()


def _answer(work: Callable[[A], R], request: bytes) -> bytes:
    try:
        return pickle.dumps((True, work(pickle.loads(request))), protocol=5)
    except Invalid as error:
        return pickle.dumps((False, error), protocol=5)
    except Exception as error:  # a processor's own validators may raise anything, also errors that cannot be pickled
        logger.error("a large body cannot be examined", exc_info=True)
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")), protocol=5)
