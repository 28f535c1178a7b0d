"""Interrupts of a worker's limits, at a moment that a test chooses."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dtqs.worker.limits import Interrupted, Reason
from tests.support.helpers import eventually

_SECONDS = 30.0


@contextmanager
def interrupted(when: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the block in the main thread, as a worker's time limit does.

    The block must let the interrupt through.
    """

    def interrupt(_: int, __: object) -> None:
        raise Interrupted(Reason.TIME_LIMIT)

    def watch() -> None:
        eventually(when, 10, "the moment to interrupt")
        signal.pthread_kill(main, signal.SIGUSR1)

    main, before = threading.main_thread().ident or 0, signal.signal(signal.SIGUSR1, interrupt)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Interrupted:
        return
    finally:
        watcher.join(_SECONDS)
        signal.signal(signal.SIGUSR1, before)
    raise AssertionError("the block did not let the interrupt through")


@contextmanager
def stopped_at(name: str, message: str) -> Iterator[None]:
    """Interrupt the block, as a worker's stop does, when the named logger logs the message.

    The block must let the interrupt through.
    """

    def interrupt(record: logging.LogRecord) -> bool:
        if record.getMessage() == message:
            raise Interrupted(Reason.STOP)
        return True

    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addFilter(interrupt)
    try:
        yield
    except Interrupted:
        return
    finally:
        logger.removeFilter(interrupt)
        logger.setLevel(level)
    raise AssertionError(f"{message!r} was not logged, or the block did not let the interrupt through")
