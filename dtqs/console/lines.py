"""Lines of styled text, measured in terminal cells: Chinese characters and emoji take two.

Text from tasks passes `safe` first.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from dtqs.log import visible
from dtqs.masking import masked_text

WIDE = 110
"""From this width on, ids are shown in full."""
SPARKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SELECTORS = str.maketrans("", "", "︎️")
"""Variation selectors change the width of the previous character, and terminals disagree about the new width."""


@dataclass(frozen=True, slots=True)
class StyledText:
    """Text in one style: bold, dim, good, bad, warn, busy, head, key or plain."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """One line of the screen. A `key` makes it selectable, a `task_id` lets it be opened."""

    spans: tuple[StyledText, ...] = ()
    key: str | None = None
    task_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


def line(*parts: str | StyledText, key: str | None = None, task_id: str | None = None) -> ScreenLine:
    """Build a line from plain and styled parts."""
    return ScreenLine(tuple(StyledText(part) if isinstance(part, str) else part for part in parts), key, task_id)


def title(text: str, width: int, note: str = "") -> ScreenLine:
    """Draw a heading across the screen."""
    heading = f" {text} " + (f"· {note} " if note else "")
    return line(StyledText(f"──{heading}" + "─" * max(0, width - 2 - len(heading)), "head"))


def safe(text: object) -> str:
    """Return text as one line without control characters and with recognizable secrets masked."""
    return typed(masked_text(str(text)))


def typed(text: str) -> str:
    """Return the operator's own input as one line without control characters; secrets stay readable."""
    return visible(text.translate(_SELECTORS))


def cells(text: str) -> int:
    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Cut text to a width in cells and mark the cut with an ellipsis."""
    if cell_len(text) <= width:
        return text
    kept, left = [], width - 1
    for character in text:
        left -= cell_len(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def pad(text: str, width: int, right: bool = False) -> str:
    """Cut or pad text to exactly this width in cells."""
    short = cut(text, width)
    blank = " " * (width - cell_len(short))
    return blank + short if right else short + blank


def fit(whole: ScreenLine, width: int) -> ScreenLine:
    """Cut or pad a line to exactly this width in cells."""
    spans, left = [], width
    for span in whole.spans:
        text = cut(span.text, left)
        spans.append(StyledText(text, span.style))
        left -= cell_len(text)
        if text != span.text:
            break
    return dataclasses.replace(whole, spans=(*spans, StyledText(" " * left)))


def restyled(whole: ScreenLine, style: str) -> ScreenLine:
    """Return the line with one style throughout."""
    return dataclasses.replace(whole, spans=tuple(StyledText(span.text, style) for span in whole.spans))


def beside(left: Sequence[ScreenLine], right: Sequence[ScreenLine], width: int) -> list[ScreenLine]:
    """Put two blocks side by side; `width` is the left block's width in cells."""
    rows = max(len(left), len(right))
    padded = [*left, *[ScreenLine()] * (rows - len(left))], [*right, *[ScreenLine()] * (rows - len(right))]
    return [
        dataclasses.replace(fit(one, width), spans=fit(one, width).spans + other.spans)
        for one, other in zip(*padded, strict=True)
    ]


def bar(fraction: float, width: int) -> str:
    """Draw a fraction as a bar with a resolution of an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "·")


def spark(values: Sequence[float], width: int) -> str:
    """Draw values as a small chart, the newest at the right.

    A column shows its largest value. Values above zero are always visible.
    """
    drawn = [0.0, *values]
    if len(drawn) > width:
        count = len(values)
        drawn = [max(values[column * count // width : (column + 1) * count // width]) for column in range(width)]
    top = max(drawn)
    if top <= 0:
        return "▁" * len(drawn)
    return "".join(SPARKS[max(1, round(value / top * 8))] for value in drawn)


def paragraph(text: str, width: int) -> list[str]:
    """Break text between words; break a word only if it is wider than a row."""
    rows = [""]
    for word in text.split(" "):
        joined = f"{rows[-1]} {word}" if rows[-1] else word
        if cell_len(joined) <= width:
            rows[-1] = joined
        else:
            pieces = wrapped(word, width)
            rows = [*(rows if rows[-1] else rows[:-1]), *pieces]
    return rows


def wrapped(text: str, width: int) -> list[str]:
    """Break text at a width in cells."""
    rows, row, used = [], "", 0
    for character in text:
        size = cell_len(character)
        if used + size > width:
            rows.append(row)
            row, used = "", 0
        row, used = row + character, used + size
    return [*rows, row]
