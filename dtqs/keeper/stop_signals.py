"""Stops a keeper at a signal, at once, whatever its main thread does."""

import os
import signal
import threading
from collections.abc import Collection

from dtqs.deadline import Stop


def stop_at(numbers: Collection[signal.Signals], stop: Stop) -> None:
    """Set `stop` at each of these signals. Call it in the main thread.

    Python runs a handler in the main thread, once that is back from a wait. A signal that comes just before the wait
    does not interrupt it: a keeper that waited for PostgreSQL then noticed it only seconds later. So a thread hears of
    the signal, too.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    for number in numbers:
        signal.signal(number, lambda *_: stop.set())
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def listen() -> None:
        while not stop.requested:
            if not set(numbers).isdisjoint(os.read(heard, 64)):
                stop.set()

    threading.Thread(target=listen, name="signals", daemon=True).start()
