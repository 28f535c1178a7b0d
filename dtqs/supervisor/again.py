"""Checks the code and the configuration on disk for a reload.

The check runs in a fresh process, so that it also finds code that cannot be loaded. The supervisor does not wait for
it: the loop reaps it like any child.
"""

import os

from dtqs.own_program import own_command
from dtqs.supervisor.reaping import End, kill_group

CHECK = "--check"
"""The option of `dtqs supervisor` with the requirements that a check must meet."""
DOUBT = "dtqs doubt: "
"""Begins a line with a warning of a check that refuses nothing."""
_BEYOND_SECONDS = 20.0
"""A check limits its imports itself. This is its time for all the rest: ten seconds may go to a mute database."""
_OUTPUT_BYTES = 4000


class ReloadCheck:
    """One check in a process of its own. It leads a process group."""

    def __init__(self, requirements: str, now: float, import_seconds: float) -> None:
        """Start it. Raises OSError."""
        command = [*own_command(), CHECK, requirements]
        self._seconds = import_seconds + _BEYOND_SECONDS
        self._until, self._late = now + self._seconds, False
        self._output = os.memfd_create("dtqs check", os.MFD_CLOEXEC)
        self.doubt = ""
        """Its warnings, such as a part that it could not look at; known after `problem`."""
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_DUP2, self._output, 2),
        ]
        try:
            self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=streams, setpgroup=0, setsigmask=())
        except OSError:
            os.close(self._output)
            raise

    def limit(self, now: float) -> None:
        """End it if it takes too long."""
        if now >= self._until and not self._late:
            self._late = True
            kill_group(self.pid)

    def problem(self, end: End) -> str | None:
        """Return the problem that it has found, or None. Call it once, with its end."""
        try:
            size = os.fstat(self._output).st_size
            text = os.pread(self._output, _OUTPUT_BYTES, max(0, size - _OUTPUT_BYTES)).decode(errors="replace").strip()
        finally:
            os.close(self._output)
        if self._late:
            return f"the check of configuration and code did not end within {self._seconds:g} s"
        if end.status == os.EX_OK:
            found = [line for line in text.splitlines() if line.startswith(DOUBT)]
            self.doubt = "; ".join(line.removeprefix(DOUBT) for line in found)
            return None
        return text.removeprefix("error: ") or f"the check of configuration and code ended with {end.cause}"

    def abandon(self) -> None:
        """End it; its result no longer counts."""
        os.close(self._output)
        kill_group(self.pid)
