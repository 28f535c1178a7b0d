"""What the screen wants to know, and what was read last: the two values that the drawing and the reading thread pass to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtqs.readings import LogEntry, Rates, Reading
from dtqs.task import Status, TaskRecord
from dtqs.uuid7 import is_uuid

STATUSES = tuple(str(status) for status in Status)


@dataclass(frozen=True, slots=True)
class TaskWanted:
    """A filter of tasks; empty: what comes next."""

    status: str = ""
    task_type: str = ""
    tag: str = ""
    prefix: str = ""

    @property
    def words(self) -> str:
        named = (("status", self.status), ("type", self.task_type), ("tag", self.tag), ("id", self.prefix))
        return " ".join(f"{name}:{value}" for name, value in named if value)


@dataclass(frozen=True, slots=True)
class LogsWanted:
    """A filter of log rows; empty: all."""

    level: str = ""
    task_id: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is on the screen, and how many rows it has."""

    tab: str = "overview"
    rows: int = 24
    tasks: TaskWanted = TaskWanted()
    logs: LogsWanted = LogsWanted()
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One task with the end of its log; `record` is None where there is no such task."""

    task_id: str
    record: TaskRecord | None
    logs: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read last. `reading` is the newest, `good` the newest that PostgreSQL had a part in: what is shown greyed while it is away."""

    reading: Reading | None = None
    good: Reading | None = None
    away: Mapping[str, float] = field(default_factory=dict)
    """Server → since when it is away, in Unix time."""
    rates: Rates | None = None
    series: Mapping[str, list[float]] = field(default_factory=dict)
    logs: tuple[LogEntry, ...] = ()
    logs_of: LogsWanted | None = None
    listing: tuple[TaskRecord, ...] = ()
    listing_of: TaskWanted | None = None
    listing_more: bool = False
    detail: Detail | None = None
    notice: str = ""
    """What came of the last action, in words."""

    @property
    def stale(self) -> bool:
        """What PostgreSQL said is from before."""
        return self.reading is None or self.reading.totals is None


def read_filter(text: str) -> TaskWanted:
    """Read what was typed: status:failed type:email tag:x id:01a2, or bare words of which each says by its look what it is."""
    found = {"status": "", "type": "", "tag": "", "id": ""}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not colon or name not in found:
            name, value = _guess(word)
        found[name] = value
    return TaskWanted(found["status"] if found["status"] in STATUSES else "", found["type"], found["tag"], found["id"].lower())


def _guess(word: str) -> tuple[str, str]:
    if word in STATUSES:
        return "status", word
    if word.startswith("#"):
        return "tag", word[1:]
    digits = word.lower().replace("-", "")
    if is_uuid(word.lower()) or (len(digits) >= 4 and any(c.isdigit() for c in digits) and not set(digits) - set("0123456789abcdef")):
        return "id", word
    return "type", word
