"""One process beside an API process, for work that computes long: it holds its own Python lock, so the loop and its requests go on meanwhile.

It is forked before anything is opened, does one request at a time, and dies with its parent. It knows no connection and no store.
"""

import gc
import os
import pickle
import signal
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import gevent
from gevent import monkey, socket
from gevent.lock import BoundedSemaphore
from setproctitle import setproctitle

from dtqs import prctl
from dtqs.errors import ExaminerBusy, Invalid

TITLE = "dtqs: api examiner"
_LENGTH = struct.Struct(">Q")
_FORK_PAUSE_SECONDS = 1.0
A = TypeVar("A")
R = TypeVar("R")



class Aside(Generic[A, R]):
    """Runs `work` in the process. A request waits at most `patience_seconds` for its turn, and `limit_seconds` for its answer."""

    def __init__(self, work: Callable[[A], R], patience_seconds: float, limit_seconds: float) -> None:
        self._work, self._patience_seconds, self._limit_seconds = work, patience_seconds, limit_seconds
        self._turn = BoundedSemaphore(1)
        self._connection: Any = None
        self._pid = 0

    def start(self) -> None:
        """Fork the process. Safe to call again after its death."""
        die_with_parent = prctl.dying_with_parent()
        ours, theirs = socket.socketpair()
        # not gevent's: the child never runs a loop
        pid = monkey.get_original("os", "fork")()
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

    def ask(self, argument: A) -> R:
        """Return the work's value. Raises what the work raises, and ExaminerBusy."""
        if not self._turn.acquire(timeout=self._patience_seconds):
            raise ExaminerBusy("too many large bodies wait to be examined")
        try:
            return self._asked(argument)
        finally:
            self._turn.release()

    def _asked(self, argument: A) -> R:
        if self._connection is None:
            self.start()
        answered = False
        try:
            with gevent.Timeout(self._limit_seconds, ExaminerBusy(f"a body was not examined within {self._limit_seconds:g} s")):
                _send(self._connection, pickle.dumps(argument, protocol=5))
                worked, value = pickle.loads(_receive(self._connection))
            answered = True
        except (OSError, EOFError) as error:
            raise ExaminerBusy("the process that examines large bodies has died") from error
        finally:
            if not answered:  # what it would say belongs to no request any more
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
    """Raises EOFError where the other side has closed."""
    pieces: list[bytes] = []
    while size > 0:
        piece = read(min(size, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _serve(work: Callable[[A], R], connection: int) -> None:
    """Answer requests until the parent closes its end: the child's whole life."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the parent's end is its end
    signal.set_wakeup_fd(-1)
    os.closerange(3, connection)
    os.closerange(connection + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_blocking(connection, True)
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


def _answer(work: Callable[[A], R], request: bytes) -> bytes:
    try:
        return pickle.dumps((True, work(pickle.loads(request))), protocol=5)
    except Invalid as error:
        return pickle.dumps((False, error), protocol=5)
    except Exception as error:  # a processor's own validators may raise anything, also what cannot be sent
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")), protocol=5)
