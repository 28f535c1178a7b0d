"""WebVTT as text: cues with their settings, styles and regions; pure. ffmpeg's reader finds no cue in a file that has a style."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STAMP = r"(?:\d++:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
_TIMING = re.compile(rf"\s*+({_STAMP})\s*+-->\s*+({_STAMP})(?:[ \t]++(.*))?")
_BLOCKS = ("STYLE", "REGION")
_BREAKS = re.compile(r"\n(?:[ \t]*+\n)++")


@dataclass(frozen=True, slots=True)
class Cue:
    """One text and when it is shown."""

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
        """Set it to the clock of a film that begins later and ends earlier."""
        cues = []
        for cue in self.cues:
            begin, end = cue.begin_seconds - start_seconds, cue.end_seconds - start_seconds
            if end > 0 and (seconds is None or begin < seconds):
                cues.append(Cue(max(0.0, begin), end if seconds is None else min(end, seconds), cue.settings, cue.text))
        return Script(self.blocks, tuple(cues))

    def text(self, *, styled: bool = True) -> str:
        """Write it; not `styled`: the cues alone, as ffmpeg reads them."""
        cues = (
            f"{stamp(cue.begin_seconds)} --> {stamp(cue.end_seconds)}{cue.settings and ' ' + cue.settings}\n{cue.text}"
            for cue in self.cues
        )
        return "\n\n".join(["WEBVTT", *(self.blocks if styled else ()), *cues]) + "\n"


def read(text: str) -> Script:
    """Read WebVTT, or what looks like it."""
    found = list(_BREAKS.split(text.replace("\r\n", "\n").replace("\r", "\n").strip()))
    blocks = tuple(block for block in found[1:] if block.split("\n", 1)[0].strip() in _BLOCKS and "-->" not in block)
    return Script(blocks, tuple(_cues(found)))


def _cues(blocks: list[str]) -> Iterator[Cue]:
    for block in blocks:
        lines = block.split("\n")
        # a header or an identifier may stand before the times
        for number, line in enumerate(lines[:3]):
            if match := _TIMING.fullmatch(line.rstrip()):
                yield Cue(_clock(match[1]), _clock(match[2]), (match[3] or "").strip(), "\n".join(lines[number + 1 :]))
                break


def _clock(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def stamp(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"
