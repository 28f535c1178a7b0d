"""Forks a child and removes the state of its parent from it. The child then calls the `main` of its spec."""

import contextlib
import faulthandler
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import setproctitle

from dtqs import sink
from dtqs.given_up import GivenUp
from dtqs.prctl import die_with_parent
from dtqs.scoreboard import Death, Slot, SlotRecord
from dtqs.supervisor.signals import HARMLESS
from dtqs.supervisor.silence import DUMP_SIGNAL, stacks_file

logger = logging.getLogger(__name__)

_OOM_SCORE_RISE = 100
"""If memory is short, the kernel should kill a child rather than the supervisor."""
_LAST_WORDS_SECONDS = 0.5
"""How long an ending child waits for a slow reader of its log."""


@dataclass(frozen=True, slots=True)
class ChildStart:
    """The argument of a child's `main`.

    `deaths` are predecessors in this slot whose leases nobody has taken back yet. The child takes them back and then
    calls `slot.settled_deaths()`.
    """

    spec_name: str
    slot: Slot
    deaths: tuple[Death, ...]
    node_id: str
    boot_id: str
    parent_alive: Callable[[], bool]
    last_words: Callable[[str], None] = print
    """Stores one line that says why this child ends. Its parent logs it."""
    board: Callable[[], Sequence[SlotRecord]] = tuple
    """Reads the scoreboard of this node's workers."""
    given_up: Callable[[], GivenUp] = GivenUp
    """Returns which slots of this node are given up, and why."""
    vouch: Callable[[str, float], None] = lambda worker_id, until: None
    """Notes on it until when nobody takes a worker's leases. For the keeper."""
    wait_seconds: float = 0.0
    """How long it takes no task after it is ready: tasks killed its predecessors before they finished one."""
    note: Callable[[str], None] = lambda _: None
    """Writes one line that the supervisor reads: the keeper's count of due tasks."""
    former: tuple[Death, ...] = ()
    """The deaths of workers under earlier supervisors of this node."""
    offer_stacks: Callable[[], None] = lambda: None
    """Registers the handler that writes stacks again: a task may have replaced it."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of the supervisor: `keeper`, or `POOL/NUMBER` for a worker. `main` returns the exit status."""

    name: str
    title: str
    main: Callable[[ChildStart], int]
    memory_kill: int = 0
    """Resident bytes at which the supervisor kills it; 0 means no limit."""

    @property
    def is_worker(self) -> bool:
        """Tell whether it is a worker. Workers end before the children that serve them."""
        return "/" in self.name

    @property
    def pool(self) -> str:
        """The pool of a worker; an empty text for any other child."""
        return self.name.rpartition("/")[0]


def spawn(spec: ChildSpec, start: ChildStart, leave: Callable[[], None], folder: Path) -> int:
    """Fork, and return the pid of the child. Raises OSError.

    In the child, `leave` closes the descriptors that only its parent needs. Stacks go to a file in `folder`.
    """
    parent = os.getpid()
    _flush()
    # no signal may reach the child while it still has the supervisor's handlers
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _live(spec, start, parent, leave, folder)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # both processes do it, so that neither has to wait for the other
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _live(spec: ChildSpec, start: ChildStart, parent: int, leave: Callable[[], None], folder: Path) -> NoReturn:
    """Run the child, from the fork to its end."""
    status = os.EX_SOFTWARE
    try:
        _become_child(spec, start, parent, leave)
        status = spec.main(replace(start, offer_stacks=_offer_stacks(stacks_file(folder, spec.name))))
    except SystemExit as request:
        status = _status_of(request)
    # no other exception may unwind into the supervisor's frames
    except BaseException as error:
        start.last_words(f"{type(error).__name__}: {error}")
        logger.critical("child failed", exc_info=True, extra={"child": spec.name})
    finally:
        # os._exit runs no clean-up, and so flushes nothing
        _flush()
        sink.finish(_LAST_WORDS_SECONDS)
        os._exit(status & 0xFF)


def _become_child(spec: ChildSpec, start: ChildStart, parent: int, leave: Callable[[], None]) -> None:
    die_with_parent()
    if os.getppid() != parent:
        # the parent died before die_with_parent
        os._exit(os.EX_TEMPFAIL)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    _reset_signals()
    leave()
    _detach_stdin()
    _offer_to_oom_killer()
    setproctitle.setproctitle(spec.title)
    start.slot.begin()
    # objects that were frozen before the fork stay frozen: a collection would copy every shared page
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # SIGPIPE and SIGXFSZ stay ignored, as Python sets them at its start
        if callable(signal.getsignal(number)):
            # one meant for the supervisor would end or stop a child that has no handler of its own
            signal.signal(number, signal.SIG_IGN if number in HARMLESS else signal.SIG_DFL)


def _offer_stacks(place: Path) -> Callable[[], None]:
    """Register a handler that writes the stacks of all threads to a file when the parent asks for them.

    Return a function that registers it again.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(
            place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        # Python sees this handler instead of faulthandler's: a different one shows that a task has replaced it.
        # It also stands in between an unregister and the next register
        signal.signal(DUMP_SIGNAL, _stand_in)
        _register(descriptor)
        return functools.partial(_register, descriptor)
    return lambda: None


def _stand_in(_: int, __: FrameType | None) -> None:
    """Stand for faulthandler's handler, which Python does not see."""


def _register(descriptor: int) -> None:
    # while it counts as registered, faulthandler changes only the file and not the handler
    faulthandler.unregister(DUMP_SIGNAL)
    faulthandler.register(DUMP_SIGNAL, file=descriptor, all_threads=True)


def _detach_stdin() -> None:
    """Leave the terminal to the supervisor: a background group that reads from it would be stopped."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)


def _offer_to_oom_killer() -> None:
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/oom_score_adj", "r+", encoding="ascii") as adjustment,
    ):
        value = min(1000, int(adjustment.read()) + _OOM_SCORE_RISE)
        adjustment.seek(0)
        adjustment.write(str(value))


def _status_of(request: SystemExit) -> int:
    """Return the exit status for an argument of `sys.exit`, as Python does."""
    if request.code is None or isinstance(request.code, int):
        return request.code or os.EX_OK
    logger.critical("child failed", extra={"reason": request.code})
    return 1


def _flush() -> None:
    """Flush the output: before a fork, so that the child does not write it again."""
    for stream in (sys.stdout, sys.stderr):
        # a closed or broken pipe must not change the exit status
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
