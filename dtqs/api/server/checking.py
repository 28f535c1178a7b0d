"""Checks the files on disk beside a running master, in a fresh process. The master never waits for it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import IO

_LIMIT_SECONDS = 60.0
_OUTPUT_BYTES = 64 << 10
_PROBLEM_CHARACTERS = 4000


class ConfigCheck:
    """One run of `dtqs config check`. Its exit status is lost: the master reaps all children, also unknown ones."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        """Known after `problem`."""
        # `problem` closes both
        self._output, self._faults = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._until = time.monotonic() + _LIMIT_SECONDS
        command = [sys.executable, "-P", "-m", "dtqs", "config", "check", "--schema", "--json"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._faults)

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


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, os.fstat(file.fileno()).st_size - _OUTPUT_BYTES))
    return file.read(_OUTPUT_BYTES).decode(errors="replace").strip()
