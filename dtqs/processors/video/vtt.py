"""Read and write WebVTT: cues with their settings, styles and regions; pure.

ffmpeg's own reader finds no cue in a file that has a style.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STAMP = r"(?:\d++:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
_TIMING = re.compile(rf"\s*+({_STAMP})\s*+-->\s*+({_STAMP})(?:[ \t]++(.*))?")
_BLOCKS = ("STYLE", "REGION")
_BREAKS = re.compile(r"\n(?:[ \t]*+\n)++")


@dataclass(frozen=True, slots=True)
class Cue:
    """One text and the time at which it is shown."""

    begin_seconds: float
    end_seconds: float
    settings: str
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """A whole file: blocks of styles and regions, and cues."""

    blocks: tuple[str, ...]
    cues: tuple[Cue, ...]

    def moved(self, start_seconds: float, seconds: float | None) -> "Script":
        """Return the cues of an excerpt, with times on the excerpt's clock."""
        cues = []
        for cue in self.cues:
            begin, end = cue.begin_seconds - start_seconds, cue.end_seconds - start_seconds
            if end > 0 and (seconds is None or begin < seconds):
                cues.append(Cue(max(0.0, begin), end if seconds is None else min(end, seconds), cue.settings, cue.text))
        return Script(self.blocks, tuple(cues))

    def text(self, *, styled: bool = True) -> str:
        """Return the file's text. Without `styled` it has the cues alone, which ffmpeg can read."""
        cues = (
            f"{stamp(cue.begin_seconds)} --> {stamp(cue.end_seconds)}{cue.settings and ' ' + cue.settings}\n{cue.text}"
            for cue in self.cues
        )
        return "\n\n".join(["WEBVTT", *(self.blocks if styled else ()), *cues]) + "\n"


def read(text: str) -> Script:
    """Read WebVTT. Faulty parts are skipped."""
    parts = list(_BREAKS.split(text.replace("\r\n", "\n").replace("\r", "\n").strip()))
    blocks = tuple(part for part in parts[1:] if part.split("\n", 1)[0].strip() in _BLOCKS and "-->" not in part)
    return Script(blocks, tuple(_cues(parts)))


def _cues(blocks: list[str]) -> Iterator[Cue]:
    for block in blocks:
        lines = block.split("\n")
        # the times may follow a header or an identifier
        for number, line in enumerate(lines[:3]):
            if match := _TIMING.fullmatch(line.rstrip()):
                yield Cue(
                    _seconds(match[1]), _seconds(match[2]), (match[3] or "").strip(), "\n".join(lines[number + 1 :])
                )
                break


def _seconds(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def stamp(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"
