"""The values that the two threads exchange: `Wanted` from the screen, `Snapshot` from the reading thread."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtqs.errors import RequestError
from dtqs.readings import Reading, SystemLogRow, Throughput
from dtqs.task import Status, TaskRecord
from dtqs.uuid7 import is_uuid

STATUSES = tuple(str(status) for status in Status)


@dataclass(frozen=True, slots=True)
class TaskWanted:
    """A filter of tasks. The empty one shows the next tasks."""

    status: str = ""
    task_type: str = ""
    tag: str = ""
    prefix: str = ""

    @property
    def text(self) -> str:
        """The filter as the operator types it."""
        named = (("status", self.status), ("type", self.task_type), ("tag", self.tag), ("id", self.prefix))
        return " ".join(f"{name}:{value}" for name, value in named if value)


@dataclass(frozen=True, slots=True)
class LogsWanted:
    """A filter of log rows. The empty one shows all."""

    level: str = ""
    task_id: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The view on the screen and its number of rows."""

    tab: str = "overview"
    rows: int = 24
    tasks: TaskWanted = TaskWanted()
    further: int = 0
    """How often the operator continued the search."""
    logs: LogsWanted = LogsWanted()
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One task with the end of its log. An unknown task has no `record`."""

    task_id: str
    record: TaskRecord | None
    logs: tuple[SystemLogRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest data. `good` is the last reading with PostgreSQL: shown in grey while PostgreSQL is away."""

    reading: Reading | None = None
    good: Reading | None = None
    away_seconds: Mapping[str, float] = field(default_factory=dict)
    """For each server that is away, the time since its loss."""
    rates: Throughput | None = None
    series: Mapping[str, list[float]] = field(default_factory=dict)
    logs: tuple[SystemLogRow, ...] = ()
    logs_of: LogsWanted | None = None
    listing: tuple[TaskRecord, ...] = ()
    listing_of: TaskWanted | None = None
    listing_more: bool = False
    detail: Detail | None = None
    notice: str = ""
    """Result of the last action."""
    notice_number: int = 0
    """Number of actions so far: tells two equal notices apart."""
    fault: str = ""
    """Error of the last reading for the current view."""
    broken: str = ""
    """Error of the reading thread itself, not of a lost server."""

    @property
    def stale(self) -> bool:
        """Whether the data from PostgreSQL is old."""
        return self.reading is None or self.reading.totals is None or bool(self.broken)

    def database_time(self, now: float) -> float:
        """Return PostgreSQL's time for a time of this machine: all times of tasks are PostgreSQL's."""
        return now + ((self.good and self.good.clock_ahead_seconds) or 0.0)


class FilterRefused(RequestError):
    """The text is not a filter."""


def read_filter(text: str) -> TaskWanted:
    """Read a filter such as `status:failed type:email tag:x id:01a2`; a bare word is recognized by its form.

    Raises FilterRefused.
    """
    found = {"status": "", "type": "", "tag": "", "id": ""}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not colon:
            name, value = _guess(word)
        elif name not in found:
            raise FilterRefused(f"{name}: is not a filter; allowed: status: type: tag: id:")
        found[name] = value
    if found["status"] and found["status"] not in STATUSES:
        raise FilterRefused(f"status: allowed: {', '.join(STATUSES)}")
    return TaskWanted(found["status"], found["type"], found["tag"], _prefix(found["id"]))


def _prefix(text: str) -> str:
    """Put the dashes into the beginning of an id."""
    digits = text.lower().replace("-", "")
    if len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise FilterRefused("id: allowed: the beginning of an id (digits, a to f, dashes)")
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
