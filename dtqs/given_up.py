"""The slots of a node that are given up, with the last words of their children, as one short line of text.

The supervisor writes the line into shared memory, and the keeper stores its parts in `counters`: readings show them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtqs.due_note import DAMAGED

NAME = "=given_up"
"""The first label of these parts among the present values of a keeper: `=given_up|default/0, default/1|reason`."""
_MOST_NAMES = 3
_MOST_LETTERS = 200
_MOST_SLOTS = 10**6


@dataclass(frozen=True, slots=True)
class GivenUpSlots:
    """Slots whose children ended for the same reason. Beyond the first few only their number is in `names`."""

    names: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """All slots of a node that are given up. A group that has no room in the line is only counted in `slots`."""

    slots: int = 0
    groups: tuple[GivenUpSlots, ...] = ()

    @classmethod
    def of(cls, slots: Sequence[tuple[str, str]]) -> "GivenUp":
        """Group slots, given as (name, reason)."""
        reasons: dict[str, list[str]] = {}
        for name, reason in slots:
            reasons.setdefault(reason[:_MOST_LETTERS], []).append(name)
        return cls(
            len(slots), tuple(GivenUpSlots(_some(names), len(names), reason) for reason, names in reasons.items())
        )

    def line(self, most_bytes: int) -> str:
        """Return a line of at most this length."""
        groups = [[group.names, group.count, group.reason] for group in self.groups]
        while len((line := json.dumps([self.slots, groups])).encode()) > most_bytes:
            if len(groups) > 1 or not groups[0][2]:
                groups.pop()
            else:
                reason = str(groups[0][2])
                groups[0][2] = reason[: len(reason) // 2]
        return line

    @classmethod
    def read(cls, line: str) -> "GivenUp | None":
        """Read a line. Return None if it is damaged: its writer may be at work, or a task has overwritten it."""
        if not line:
            return cls()
        try:
            slots, groups = json.loads(line)
            read = cls(
                int(slots), tuple(GivenUpSlots(str(names), int(count), str(text)) for names, count, text in groups)
            )
        except DAMAGED:
            return None
        counts = (read.slots, *(group.count for group in read.groups))
        return read if all(0 <= count <= _MOST_SLOTS for count in counts) else None

    def values(self) -> dict[str, float]:
        """Return the groups as present values of a keeper."""
        return {f"{NAME}|{group.names}|{group.reason}": group.count for group in self.groups}


def from_values(values: Mapping[str, float]) -> tuple[GivenUpSlots, ...]:
    """Return the groups among the values of a keeper."""
    found = [(name.split("|", 2), count) for name, count in values.items() if name.startswith(f"{NAME}|")]
    return tuple(GivenUpSlots(parts[1], int(count), parts[2]) for parts, count in sorted(found) if len(parts) == 3)


def words_of(node_name: str, slots: GivenUpSlots) -> str:
    """Return the sentence for people."""
    verb, whose = ("are", "their") if slots.count > 1 else ("is", "its")
    return (
        f"{slots.names} on {node_name} {verb} given up, because {whose} children ended before they were ready: "
        f"{slots.reason}; dtqs ctl reload tries again"
    )


def _some(names: Sequence[str]) -> str:
    text = ", ".join(names[:_MOST_NAMES])
    return f"{text} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else text
