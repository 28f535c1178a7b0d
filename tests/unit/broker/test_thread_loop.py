"""The thread of the broker's loop in a process that has no memory left."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import logging, resource, sys, time
from pathlib import Path
from dtqs.broker.loop.threads import ThreadLoop

class Sink(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), type(record.exc_info[1]).__name__, file=sys.stderr, flush=True)
        if sys.argv[1] == "no line":
            raise MemoryError

logging.getLogger().addHandler(Sink())
loop = ThreadLoop("broker")
loop.start()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), -1))
loop.call(lambda: bytearray(1 << 30))
time.sleep(30)  # as a task that runs in the main thread
"""


@pytest.mark.parametrize("log", ["a line", "no line"])
def test_a_worker_whose_broker_thread_gets_no_memory_ends_at_once(log: str) -> None:
    """Its supervisor then settles the death: the running task spends the attempt, as with any death of its worker."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM, log], capture_output=True, text=True, timeout=20)
    assert done.returncode == os.EX_SOFTWARE, done.stderr
    assert done.stderr.startswith("the broker's loop failed: this process ends MemoryError\n")
