"""The jail's border: no decoder outside of it, no thread left outside."""

import subprocess
import sys
from pathlib import Path

import dtqs.jail

MARK = Path(dtqs.jail.__file__).parents[1] / "processors" / "video" / "mark.py"


def printed(program: str) -> str:
    """Run a program in a process of its own. Return its output."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_a_worker_loads_no_decoder() -> None:
    """Images are opened in the jail only: a worker with Pillow would decode them beside its passwords."""
    program = (
        "import sys, dtqs.worker.process; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('PIL', 'pillow_heif', 'numpy')])"
    )
    assert printed(program) == "[]"


def test_a_process_with_a_thread_cannot_enter_because_the_thread_would_stay_outside() -> None:
    program = (
        "import threading; from dtqs.jail import Jail, enter\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "try: enter(Jail().orders())\n"
        "except RuntimeError as error: print(error)\n"
    )
    expected = "a library has started a second thread, which would stay outside the jail: import it later"
    assert printed(program) == expected


def test_a_watermark_of_a_video_loads_little() -> None:
    """It needs the readers and colours of an image, and each task starts its process anew."""
    program = (
        f"import runpy, sys; runpy.run_path({str(MARK)!r}, run_name='mark'); "
        "print([name for name in ('pydantic', 'httpx', 'numpy', 'dtqs.config', 'dtqs.files') if name in sys.modules])"
    )
    assert printed(program) == "[]"
