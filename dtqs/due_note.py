"""The keeper's note for the supervisor: how many tasks are due for each pool that scales itself."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""The errors of a line that is torn, or that a task has overwritten: infinite numbers and deep nesting included."""
_LONGEST_AT, _MOST_TASKS = 1e12, 10**12
"""A machine that has run for 30,000 years, and more tasks than a look counts."""


@dataclass(frozen=True, slots=True)
class DueNote:
    """`at` is the monotonic time of the count. `due` names all pools that scale themselves."""

    at: float
    due: Mapping[str, int]

    def line(self) -> str:
        """Return the note as one line of ASCII."""
        return json.dumps({"at": round(self.at, 1), "due": dict(self.due)})

    @classmethod
    def read(cls, line: str) -> "DueNote | None":
        """Read a line. Return None if it is damaged: its writer may be at work, or a task has overwritten it."""
        try:
            note = json.loads(line)
            read = cls(float(note["at"]), {str(pool): int(count) for pool, count in note["due"].items()})
        except DAMAGED:
            return None
        is_sane = 0 <= read.at <= _LONGEST_AT and all(0 <= count <= _MOST_TASKS for count in read.due.values())
        return read if is_sane else None


def note_bytes(pools: Collection[str]) -> int:
    """Return the most bytes of a note about these pools."""
    return len(DueNote(_LONGEST_AT, dict.fromkeys(pools, _MOST_TASKS)).line())
