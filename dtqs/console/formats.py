"""Ids and counts in the form that the console shows; pure."""

from dtqs.readings import Depth
from dtqs.store.overview import LATER_LIMIT, LOOK_LIMIT


def cut_marks(depth: Depth) -> tuple[str, str]:
    """Return the marks after the counts of pending and later tasks: a plus if the count is a minimum."""
    later = depth.more and depth.later >= LATER_LIMIT
    pending = depth.more and (not later or depth.pending >= LOOK_LIMIT)
    return "+" if pending else "", "+" if later else ""


def short_id(task_id: str | None, width: int) -> str:
    """Write an id in full, or its beginning and end: the beginning is a time, which many tasks share."""
    if task_id is None:
        return "-"
    return task_id if width >= len(task_id) else f"{task_id[:8]}…{task_id[-4:]}"
