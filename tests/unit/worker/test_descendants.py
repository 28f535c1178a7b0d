"""The end of processes that an attempt leaves behind, in a process of its own: it kills all children."""

import subprocess
import sys

_TWICE = """
import multiprocessing
from dtqs.worker.descendants import kill_descendants

if __name__ == "__main__":
    for _ in range(2):
        context = multiprocessing.get_context("forkserver")
        lock = context.Lock()
        child = context.Process(target=repr, args=(lock,))
        child.start()
        child.join(20)
        print(child.exitcode)
        kill_descendants()
"""


def test_each_attempt_can_use_a_fork_server_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", _TWICE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["0", "0"], "")
