"""Numbers, times and ids as people read them; pure."""

from datetime import UTC, datetime

from dtqs.readings import Depth
from dtqs.readings.alarms import age
from dtqs.store.overview import LATER_LIMIT, LOOK_LIMIT

__all__ = ["age", "amount", "clock", "cut_marks", "moment", "rate", "seconds", "short_id"]


def amount(number: float) -> str:
    """Write a count: 1,234; 12.3k; 4.5M."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if number >= 10 * factor:
            return f"{number / factor:.1f}{unit}" if number < 100 * factor else f"{number / factor:,.0f}{unit}"
    return f"{number:,.0f}"


def cut_marks(depth: Depth) -> tuple[str, str]:
    """Return what stands after the counts of pending and later tasks: a plus where there are more than were looked at."""
    later = depth.more and depth.later >= LATER_LIMIT
    pending = depth.more and (not later or depth.pending >= LOOK_LIMIT)
    return "+" if pending else "", "+" if later else ""


def rate(number: float) -> str:
    """Write tasks a second."""
    return amount(number) if number >= 100 else f"{number:.1f}"


def seconds(value: float | None) -> str:
    """Write a length of time with its unit: 4.2 ms, 1.3 s, 5 min."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.1f} ms" if value < 0.0995 else f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 10 else age(value)


def short_id(task_id: str | None, width: int) -> str:
    """Write an id so that it can be told from others: in full, or its beginning and its end (the beginning is a time, which many share)."""
    if task_id is None:
        return "-"
    return task_id if width >= len(task_id) else f"{task_id[:8]}…{task_id[-4:]}"


def moment(at: str) -> float:
    """Return a time of the API's text as Unix time."""
    return datetime.fromisoformat(at).timestamp()


def clock(at: str, now: float) -> str:
    """Write a time in this machine's zone: of the day, with its date where that is another one."""
    then = datetime.fromisoformat(at).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return then.strftime("%H:%M:%S" if then.date() == today else "%m-%d %H:%M")
