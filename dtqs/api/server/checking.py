"""A check of the files on disk beside a running master: in a fresh process, which the master never waits for."""

import subprocess
import sys
import tempfile
import time

_LIMIT_SECONDS = 60.0
_SAID_BYTES = 4000


class ConfigCheck:
    """One run of `dtqs config check`. Its exit status is not read: the master reaps every child and keeps no status of strangers."""

    def __init__(self) -> None:
        self._said, self._faults = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 `problem` closes them
        self._until = time.monotonic() + _LIMIT_SECONDS
        command = [sys.executable, "-P", "-m", "dtqs", "config", "check", "--json"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._faults)

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended; one that takes too long is ended here."""
        if time.monotonic() >= self._until:
            self.end()
        return self._process.poll() is not None

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def problem(self) -> str | None:
        """Return what is wrong on disk; None where all is right. Call it once, when the check is over."""
        with self._said, self._faults:
            self._said.seek(0)
            self._faults.seek(0)
            said, faults = self._said.read(_SAID_BYTES), self._faults.read(_SAID_BYTES).decode(errors="replace").strip()
        if b'"ok": true' in said:
            return None
        return faults or f"the check did not end within {_LIMIT_SECONDS:g} s, or was killed"
