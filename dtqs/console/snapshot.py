"""What the screen wants to know, and what was read last: the two values that the drawing and the reading thread pass to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtqs.errors import RequestError
from dtqs.readings import Reading, SystemLogRow, Throughput
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
    further: int = 0
    """How many more looks the filter's tasks are worth."""
    logs: LogsWanted = LogsWanted()
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One task with the end of its log; `record` is None where there is no such task."""

    task_id: str
    record: TaskRecord | None
    logs: tuple[SystemLogRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read last. `reading` is the newest, `good` the newest that PostgreSQL had a part in: what is shown greyed while it is away."""

    reading: Reading | None = None
    good: Reading | None = None
    away: Mapping[str, float] = field(default_factory=dict)
    """Server → since when it is away, in Unix time."""
    rates: Throughput | None = None
    series: Mapping[str, list[float]] = field(default_factory=dict)
    logs: tuple[SystemLogRow, ...] = ()
    logs_of: LogsWanted | None = None
    listing: tuple[TaskRecord, ...] = ()
    listing_of: TaskWanted | None = None
    listing_more: bool = False
    detail: Detail | None = None
    notice: str = ""
    """What came of the last action, in words."""
    notice_number: int = 0
    """Of as many actions: the same words may come twice."""
    fault: str = ""
    """Why what the view wants could not be read, in words."""
    broken: str = ""
    """What the last turn of the reading thread failed of, other than a server that is away."""

    @property
    def stale(self) -> bool:
        """What PostgreSQL said is from before."""
        return self.reading is None or self.reading.totals is None or bool(self.broken)


class FilterRefused(RequestError):
    """What was typed is no filter."""


def read_filter(text: str) -> TaskWanted:
    """Read what was typed: status:failed type:email tag:x id:01a2, or bare words of which each says by its look what it is. Raises FilterRefused."""
    found = {"status": "", "type": "", "tag": "", "id": ""}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not colon:
            name, value = _guess(word)
        elif name not in found:
            raise FilterRefused(f"{name}: is no filter; allowed are status: type: tag: id:")
        found[name] = value
    if found["status"] and found["status"] not in STATUSES:
        raise FilterRefused(f"status: allowed are {', '.join(STATUSES)}")
    return TaskWanted(found["status"], found["type"], found["tag"], _prefix(found["id"]))


def _prefix(text: str) -> str:
    """Write the beginning of an id with its dashes."""
    digits = text.lower().replace("-", "")
    if len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise FilterRefused("id: allowed is the beginning of an id: digits, a to f, dashes")
    return "-".join(filter(None, (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))


def _guess(word: str) -> tuple[str, str]:
    if word in STATUSES:
        return "status", word
    if word.startswith("#"):
        return "tag", word[1:]
    digits = word.lower().replace("-", "")
    if is_uuid(word.lower()) or (
        len(digits) >= 4 and any(c.isdigit() for c in digits) and not set(digits) - set("0123456789abcdef")
    ):
        return "id", word
    return "type", word
