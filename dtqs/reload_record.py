"""The state of a node's last reload, in the file `reload` of its folder. `dtqs ctl reload` waits for the last state.

A module of its own, since importing the supervisor would take most of the command's time.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dtqs.whole_file import WholeFile

NEVER, CHECKING, REFUSED, ROLLING, STUCK, DONE = "never", "checking", "refused", "rolling", "stuck", "done"
OVER = (REFUSED, STUCK, DONE)
"""The states in which a reload needs no more waiting. A stuck one goes on when its slot comes up."""
PAUSED = "the node is paused, and no new worker could show that it works: dtqs ctl resume"
ENDS = "the node ends"
RESTART = "restart the service"
"""Ends the reason of a refusal that no correction mends: the running program cannot load the new one."""
_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """The last reload of a supervisor: its number, counted from 1, and how far it is. `at` is the Unix time.

    The `reason` of one that was refused or is stuck; else the warnings of its check.
    """

    pid: int
    number: int = 0
    state: str = NEVER
    reason: str = ""
    at: float = 0.0

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all. A full disk must not end the node."""
        # not durable: the record is about a process, which a power cut ends
        with contextlib.suppress(OSError), WholeFile(folder / "reload", 0o644, durable=False) as file:
            file.write(json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, folder: Path) -> "ReloadRecord | None":
        """Return the record of the node in this folder, or None."""
        try:
            with open(folder / "reload", "rb") as file:
                return cls(**json.loads(file.read(_MOST_BYTES)))
        except (OSError, ValueError, TypeError):
            return None
