"""The memory of a process in /proc: its own pages, which no other process shares, by kind; and the shared ones."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HEAP, ARENAS, LIBRARIES, OTHER = "heap", "arenas", "libraries", "other"
KINDS = (HEAP, ARENAS, LIBRARIES, OTHER)
"""malloc's heap; anonymous mappings, mostly Python's arenas of small objects; written pages of libraries; the rest."""
_KIB = 1024
_OWN = ("Private_Dirty", "Private_Clean", "Swap")


@dataclass(frozen=True, slots=True)
class Pages:
    """Bytes of a process: `own` by kind, and `shared` with at least one other process."""

    own: dict[str, int]
    shared: int

    @property
    def own_bytes(self) -> int:
        return sum(self.own.values())

    def __sub__(self, other: "Pages") -> "Pages":
        return Pages({kind: self.own[kind] - other.own[kind] for kind in KINDS}, self.shared - other.shared)


def pages_of(pid: int) -> Pages:
    """Read the mappings of a process; none if it has ended."""
    own, shared, kind, is_file = Counter[str](), 0, OTHER, False
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if "-" in name and " " in name:
                kind, is_file = _kind(line)
            elif name in _OWN and not (is_file and name == "Private_Clean"):
                own[kind] += int(value.split()[0]) * _KIB
            elif name.startswith("Shared_"):
                shared += int(value.split()[0]) * _KIB
    return Pages({each: own[each] for each in KINDS}, shared)


def _kind(head: str) -> tuple[str, bool]:
    """Return the kind of a mapping, and whether it is of a file: its clean pages can be read again."""
    fields = head.split(maxsplit=5)
    name = fields[5] if len(fields) > 5 else ""
    if name == "[heap]":
        return HEAP, False
    if not name or name.startswith("[anon"):
        return ARENAS, False
    if ".so" in name or "/bin/" in name:
        return LIBRARIES, True
    return OTHER, name.startswith("/")
