"""Fork a child, and undo in it all that belongs to its parent. What the child does then arrives as a function."""

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
from dtqs.prctl import die_with_parent
from dtqs.scoreboard import Death, Slot, SlotRecord
from dtqs.supervisor.silence import DUMP_SIGNAL, stacks_file

logger = logging.getLogger(__name__)

_OOM_SCORE_RISE = 100
"""A child is to be killed for want of memory before its supervisor is."""
_LAST_WORDS_SECONDS = 0.5
"""Given to a slow reader of the log when a child ends."""


@dataclass(frozen=True, slots=True)
class ChildStart:
    """What a child's main gets.

    `deaths` are predecessors of this slot whose leases nobody has taken back yet; the child says `slot.settled_deaths()` when it has.
    """

    spec_name: str
    slot: Slot
    deaths: tuple[Death, ...]
    node_id: str
    boot_id: str
    parent_alive: Callable[[], bool]
    last_words: Callable[[str], None] = print
    """Leaves a line that says why this child ends; its parent repeats it."""
    board: Callable[[], Sequence[SlotRecord]] = tuple
    """The scoreboard of this node's workers, read anew at each call."""
    wait_seconds: float = 0.0
    """It takes no task for so long once it is ready: tasks have killed those before it, and none was finished."""
    former: tuple[Death, ...] = ()
    """The tasks that workers of this node's earlier supervisors ran when they were killed."""
    offer_stacks: Callable[[], None] = lambda: None
    """Answers the parent's request for stacks again, after a task may have taken its signal."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child that the supervisor keeps alive: `keeper`, or `POOL/NUMBER` for a worker. `main` returns its exit status."""

    name: str
    title: str
    main: Callable[[ChildStart], int]

    @property
    def is_worker(self) -> bool:
        """Workers end before the others, which serve them."""
        return "/" in self.name


def spawn(spec: ChildSpec, start: ChildStart, leave: Callable[[], None], folder: Path) -> int:
    """Fork and return the child's pid. `leave` closes the child's copies of what only its parent needs; stacks go to `folder`. Raises OSError."""
    parent = os.getpid()
    _flush()
    # no signal may reach the child while its handlers are still the supervisor's
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _live(spec, start, parent, leave, folder)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # both sides do it, so that neither has to wait for the other
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _live(spec: ChildSpec, start: ChildStart, parent: int, leave: Callable[[], None], folder: Path) -> NoReturn:
    """Be the child, from the fork to its end."""
    status = os.EX_SOFTWARE
    try:
        _become_child(spec, start, parent, leave)
        status = spec.main(replace(start, offer_stacks=_offer_stacks(stacks_file(folder, spec.name))))
    except SystemExit as request:
        status = _status_of(request)
    # whatever else comes out must not unwind into the supervisor's own frames
    except BaseException as error:
        start.last_words(f"{type(error).__name__}: {error}")
        logger.critical("child failed", exc_info=True, extra={"child": spec.name})
    finally:
        # this end runs no clean-up
        _flush()
        sink.finish(_LAST_WORDS_SECONDS)
        os._exit(status & 0xFF)


def _become_child(spec: ChildSpec, start: ChildStart, parent: int, leave: Callable[[], None]) -> None:
    die_with_parent()
    if os.getppid() != parent:
        # it died before we asked to die with it
        os._exit(os.EX_TEMPFAIL)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    _reset_signals()
    leave()
    _detach_stdin()
    _offer_to_oom_killer()
    setproctitle.setproctitle(spec.title)
    start.slot.begin()
    # what was frozen before the fork stays frozen: collecting it would copy every page that we share
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # SIGPIPE and SIGXFSZ stay ignored: Python's own convention
        if callable(signal.getsignal(number)) or number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)


def _offer_stacks(place: Path) -> Callable[[], None]:
    """Have the stacks of all threads written into a file when the parent asks for them; returns what has it done again."""
    with contextlib.suppress(OSError):
        descriptor = os.open(
            place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        # what it is between an unregister and the next register; and what no task sets, so that a change shows
        signal.signal(DUMP_SIGNAL, _unheard)
        _register(descriptor)
        return functools.partial(_register, descriptor)
    return lambda: None


def _unheard(_: int, __: FrameType | None) -> None:
    """Stand for faulthandler's own handler, of which Python does not know."""


def _register(descriptor: int) -> None:
    # where it believes to be registered, it changes the file alone and not the handler
    faulthandler.unregister(DUMP_SIGNAL)
    faulthandler.register(DUMP_SIGNAL, file=descriptor, all_threads=True)


def _detach_stdin() -> None:
    """Leave the operator's terminal to the supervisor; a group in its background would be stopped when it reads."""
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
    """Read `sys.exit`'s argument as Python does."""
    if request.code is None or isinstance(request.code, int):
        return request.code or os.EX_OK
    logger.critical("child failed", extra={"reason": request.code})
    return 1


def _flush() -> None:
    """Write out what is buffered: before the fork, lest both write it."""
    for stream in (sys.stdout, sys.stderr):
        # a closed or broken pipe must not change how the child ended
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
