"""The first line of the screen: the tabs and the overall health; pure."""

import time
from collections.abc import Sequence

from dtqs.console.lines import ScreenLine, StyledText, cells
from dtqs.console.snapshot import Snapshot


def head(
    snapshot: Snapshot, tabs: Sequence[str], shown: str, width: int
) -> tuple[ScreenLine, list[tuple[int, int, str]]]:
    """Return the line, and for each tab the first cell, the end cell and the name."""
    spans, places, at = [StyledText(" DTQS ", "title")], [], 6
    for number, name in enumerate(tabs, 1):
        text = f" {number} {name.capitalize()} "
        places.append((at, at + cells(text), name))
        spans.append(StyledText(text, "tab" if name == shown else "title"))
        at += cells(text)
    health, style = _health(snapshot)
    return ScreenLine(
        (*spans, StyledText(" " * max(1, width - at - cells(health) - 1), "title"), StyledText(health + " ", style))
    ), places


def _health(snapshot: Snapshot) -> tuple[str, str]:
    reading = snapshot.reading
    if snapshot.broken:
        return "✗ reading failed", "title-bad"
    if reading is None:
        return "reading …", "title"
    if reading.alarms:
        return f"✗ {len(reading.alarms)} alarm{'s' if len(reading.alarms) > 1 else ''}", "title-bad"
    return time.strftime("✓ healthy  %H:%M:%S", time.localtime(reading.at)), "title-good"
