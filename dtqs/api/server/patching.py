"""gevent's changes of the standard library in the master, before it loads the application for all its processes.

Modules take names such as `threading.Lock` at their import. The master waits without gevent's loop, which must not be
open at a fork: so it keeps sockets, signals, children and the simple queue, and a test forbids to take their names."""

import queue

import gevent.queue
from gevent import monkey


def patch_for_imports() -> None:
    """Patch the names that modules take at their import. Call it before they are imported."""
    monkey.patch_time()
    monkey.patch_thread()
    monkey.patch_select()
    monkey.patch_selectors()
    monkey.patch_ssl()
    for name in ("Queue", "LifoQueue", "PriorityQueue"):
        monkey.patch_item(queue, name, getattr(gevent.queue, name))


def patch_the_rest() -> None:
    """Patch everything else, in a process with a loop of its own.

    A second patch of threads would register gevent's hook of forks again. Its second call fails in each further child.
    """
    monkey.patch_all(thread=not monkey.is_module_patched("threading"))
