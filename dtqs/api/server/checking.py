"""Checks the files on disk beside a running master, in a fresh process. The master never waits for it."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time

API_VARIABLE = "_DTQS_CHECK_API"
"""With it `dtqs config check --schema` also checks what `dtqs api` checks at its start. It is no option: the program on
disk may be of an earlier version, which would refuse an unknown one, and the way back by a reload."""
_LIMIT_SECONDS = 60.0
_OUTPUT_BYTES = 64 << 10
_PROBLEM_CHARACTERS = 4000


class ConfigCheck:
    """One run of `dtqs config check`. Its exit status is lost: the master reaps all children, also unknown ones."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        self.warnings: list[str] = []
        """Known after `problem`."""
        self._until = time.monotonic() + _LIMIT_SECONDS
        command = [sys.executable, "-P", "-m", "dtqs", "config", "check", "--schema", "--json"]
        variables = os.environ | {API_VARIABLE: "1"}
        with contextlib.ExitStack() as opened:
            # in memory, since the disk may be full; `problem` or `abandon` closes both
            self._output, self._faults = opened.enter_context(_memory()), opened.enter_context(_memory())
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._faults, env=variables
            )
            opened.pop_all()

    @property
    def is_over(self) -> bool:
        """Tell whether the check has ended. A check past its time limit is ended here."""
        if time.monotonic() >= self._until:
            self.end()
        return self._process.poll() is not None

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """End it; its result no longer counts."""
        self.end()
        self._output.close()
        self._faults.close()

    def problem(self) -> str | None:
        """Return the problem on disk, or None. Call it once, after the check has ended."""
        with self._output, self._faults:
            output, faults = _end_of(self._output), _end_of(self._faults)
        # an import of a processor may print before it
        verdict = output[output.rfind("\n{\n") + 1 :]
        if '"ok": true' in verdict:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.warnings = [str(each) for each in json.loads(verdict)["warnings"]]
            return None
        return faults[-_PROBLEM_CHARACTERS:] or f"the check did not end within {_LIMIT_SECONDS:g} s, or was killed"


def _memory() -> io.FileIO:
    return io.FileIO(os.memfd_create("dtqs check", os.MFD_CLOEXEC), "r+b")


def _end_of(file: io.FileIO) -> str:
    file.seek(max(0, os.fstat(file.fileno()).st_size - _OUTPUT_BYTES))
    return (file.read(_OUTPUT_BYTES) or b"").decode(errors="replace").strip()
