"""Lines of styled text, measured in the cells of a terminal: Chinese and emoji take two. Whatever comes from tasks passes `safe` first."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from dtqs.log import visible
from dtqs.masking import masked_text

WIDE = 110
"""A screen of so many cells shows ids in full."""
SPARKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SELECTORS = str.maketrans("", "", "︎️")
"""They ask for a form of the character before, whose width terminals then do not agree on."""


@dataclass(frozen=True, slots=True)
class StyledText:
    """Text in one style: bold, dim, good, bad, warn, busy, head, key, or none."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """One line. With a `key` it can be selected, with a `task_id` it can be opened."""

    spans: tuple[StyledText, ...] = ()
    key: str | None = None
    task_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


def line(*parts: str | StyledText, key: str | None = None, task_id: str | None = None) -> ScreenLine:
    return ScreenLine(tuple(StyledText(part) if isinstance(part, str) else part for part in parts), key, task_id)


def title(text: str, width: int, note: str = "") -> ScreenLine:
    """Draw a heading across the screen."""
    words = f" {text} " + (f"· {note} " if note else "")
    return line(StyledText(f"──{words}" + "─" * max(0, width - 2 - len(words)), "head"))


def safe(text: object) -> str:
    """Return text on one line that cannot steer the terminal, without the secrets that tell themselves."""
    return typed(masked_text(str(text)))


def typed(text: str) -> str:
    """Return what was typed here, which may be anything, on one line that cannot steer the terminal."""
    return visible(text.translate(_SELECTORS))


def cells(text: str) -> int:
    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Cut text to so many cells, with a mark where something is missing."""
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
    """Make text exactly so many cells wide."""
    short = cut(text, width)
    blank = " " * (width - cell_len(short))
    return blank + short if right else short + blank


def fit(whole: ScreenLine, width: int) -> ScreenLine:
    """Make a line exactly so many cells wide."""
    spans, left = [], width
    for span in whole.spans:
        text = cut(span.text, left)
        spans.append(StyledText(text, span.style))
        left -= cell_len(text)
        if text != span.text:
            break
    return dataclasses.replace(whole, spans=(*spans, StyledText(" " * left)))


def restyled(whole: ScreenLine, style: str) -> ScreenLine:
    return dataclasses.replace(whole, spans=tuple(StyledText(span.text, style) for span in whole.spans))


def beside(left: Sequence[ScreenLine], right: Sequence[ScreenLine], width: int) -> list[ScreenLine]:
    """Put two blocks side by side; the left one gets so many cells."""
    rows = max(len(left), len(right))
    padded = [*left, *[ScreenLine()] * (rows - len(left))], [*right, *[ScreenLine()] * (rows - len(right))]
    return [
        dataclasses.replace(fit(one, width), spans=fit(one, width).spans + other.spans)
        for one, other in zip(*padded, strict=True)
    ]


def bar(fraction: float, width: int) -> str:
    """Draw how much of a whole, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "·")


def spark(values: Sequence[float], width: int) -> str:
    """Draw values as a small chart that ends at the right; what is not zero can be seen, also where several values share a column."""
    drawn = [0.0, *values]
    if len(drawn) > width:
        count = len(values)
        drawn = [max(values[column * count // width : (column + 1) * count // width]) for column in range(width)]
    top = max(drawn)
    if top <= 0:
        return "▁" * len(drawn)
    return "".join(SPARKS[max(1, round(value / top * 8))] for value in drawn)


def paragraph(text: str, width: int) -> list[str]:
    """Break text between its words, and a word that is wider than a row within it."""
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
    """Break text at so many cells."""
    rows, row, used = [], "", 0
    for character in text:
        size = cell_len(character)
        if used + size > width:
            rows.append(row)
            row, used = "", 0
        row, used = row + character, used + size
    return [*rows, row]
