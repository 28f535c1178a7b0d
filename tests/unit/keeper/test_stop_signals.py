"""A signal stops a keeper although its main thread is in a wait that the signal does not interrupt."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading
from dtqs.deadline import Stop
from dtqs.keeper.stop_signals import stop_at

stop, other = Stop(), int(sys.argv[1])
stop_at((signal.SIGTERM, signal.SIGINT), stop)
signal.signal(signal.SIGUSR1, lambda *_: None)

def end():
    os.kill(os.getpid(), signal.SIGUSR1)
    print(stop.wait(0.2), flush=True)
    os.kill(os.getpid(), other)
    print(stop.wait(20), flush=True)
    os._exit(0)

ending = threading.Thread(target=end)
ending.start()
# the signals go to the other thread, as one does that comes just before the wait
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
threading.Event().wait(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_once_whatever_the_main_thread_waits_for(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "True"]
