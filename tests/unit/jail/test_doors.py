"""Work that stays outside the jail, and work that must not."""

import subprocess
import sys


def test_a_worker_loads_no_decoder() -> None:
    """Pictures are opened in the jail only: whoever needs Pillow in a worker opens them beside its passwords."""
    program = "import sys, dtqs.worker.process; print([name for name in sys.modules if name.partition('.')[0] in ('PIL', 'pillow_heif', 'numpy')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_enters_with_a_thread_that_would_stay_outside() -> None:
    program = (
        "import threading; from dtqs.jail import Jail, enter\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "try: enter(Jail().orders())\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "a library has started a thread before the jail: import it later"
