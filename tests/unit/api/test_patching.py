"""gevent's changes of the standard library: a part before the application is loaded, the rest after the fork."""

import subprocess
import sys

_FORKS = """
import os
from dtqs.api.server.patching import patch_for_imports, patch_the_rest
fork, wait = os.fork, os.waitpid  # as dtqs/api/submit/aside.py, which takes gevent's originals

def fork_and_end(then):
    pid = fork()
    if pid == 0:
        then()
        os._exit(0)
    wait(pid, 0)

def serve():
    patch_the_rest()
    fork_and_end(lambda: None)

patch_for_imports()
fork_and_end(serve)
"""


def test_no_hook_fails_in_a_process_that_a_process_of_the_api_forks() -> None:
    """gevent prints an error there, which stands in the log of the API."""
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""


def test_each_part_of_the_library_is_patched_once_both_have_run() -> None:
    """As by gevent alone."""
    show = "print(sorted((name, *sorted(values)) for name, values in monkey.saved.items() if name != 'queue'))"
    ours = (
        "from dtqs.api.server.patching import patch_for_imports, patch_the_rest; patch_for_imports(); patch_the_rest()"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", f"{patch}\nfrom gevent import monkey\n{show}"],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout
        for patch in (ours, "from gevent import monkey; monkey.patch_all()")
    ]  # fmt: skip
    assert shown[0] == shown[1]
