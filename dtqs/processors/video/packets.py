"""Read the time of each packet of a file: its tracks' real contents, independent of its index. One pass of ffprobe."""

import math
from array import array
from collections.abc import Collection
from dataclasses import dataclass, field

from dtqs.errors import PermanentError

FIELDS = "packet=stream_index,pts_time,dts_time,duration_time,pos,flags"
"""ffprobe prints them in this order; the order in the option has no effect."""
CUT_SHORT = ("File ended prematurely", "partial file", "Truncating packet", "truncated")
LINE_BYTES = 1 << 16
"""More than the longest line of ffmpeg or ffprobe. One that a hostile file controls may print an endless line."""
_MOST_PACKETS, _MOST_PICTURES = 100_000_000, 10_000_000
"""Six hours at 240 frames a second are 5 million. A frame takes 8 bytes of memory."""
_JUMP_SECONDS, _BACK_SECONDS = 10.0, 0.1
"""ffmpeg closes jumps of the clock of this size, in formats whose clock may jump."""
_GAP_SECONDS = 0.03
_DIGITS = 18
JUMPING = frozenset({"mpegts", "mpeg", "ogg"})


@dataclass(slots=True)
class PacketTrack:
    """The packets of one track, by the file's own clock."""

    begin_seconds: float = float("inf")
    end_seconds: float = float("-inf")
    times: "array[float]" = field(default_factory=lambda: array("d"))
    positions: "array[int]" = field(default_factory=lambda: array("q"))
    count: int = 0
    is_timed: bool = True
    has_gaps: bool = False

    @property
    def is_empty(self) -> bool:
        return self.end_seconds < self.begin_seconds


class PacketReader:
    """Read ffprobe's output line by line. It keeps the times of all frames, and the begin and end of other tracks."""

    def __init__(self, pictures: Collection[int], others: Collection[int], demuxer: str) -> None:
        self.tracks = {index: PacketTrack() for index in (*pictures, *others)}
        self._pictures, self._jumps = frozenset(pictures), demuxer in JUMPING
        self._next: dict[int, float] = {}
        self._shift, self._count, self._rest = 0.0, 0, b""

    def take(self, sample: bytes) -> bool:
        *whole, rest = (self._rest + sample).split(b"\n")
        self._rest = rest[-LINE_BYTES:]
        for line in whole:
            if line:
                self._line(line)
        self._count += len(whole)
        if self._count > _MOST_PACKETS:
            raise PermanentError(f"the video has more than {_MOST_PACKETS} packets, the limit")
        return bool(sample)

    def _line(self, line: bytes) -> None:
        fields = line.split(b",")
        index = _whole(fields[0])
        if len(fields) < 6 or (track := self.tracks.get(index)) is None:
            return
        track.count += 1
        if b"D" in fields[5]:  # outside of the track's edit list: decoded, but never shown
            return
        shown, decoded, duration_seconds = _seconds(fields[1]), _seconds(fields[2]), _seconds(fields[3]) or 0.0
        at = shown if shown is not None else decoded
        if at is None:  # it follows the packet before
            track.is_timed, track.end_seconds = False, track.end_seconds + duration_seconds
            return
        at += self._shift_for(index, decoded if decoded is not None else at, duration_seconds)
        if index in self._pictures:
            self._picture(track, at, shown is not None, fields[4])
        elif at - track.end_seconds > _GAP_SECONDS and not track.is_empty:
            track.has_gaps = True
        track.begin_seconds = min(track.begin_seconds, at)
        track.end_seconds = max(track.end_seconds, at + duration_seconds)

    def _picture(self, track: PacketTrack, at: float, is_timed: bool, position: bytes) -> None:
        track.is_timed = track.is_timed and is_timed
        track.times.append(at)
        track.positions.append(_whole(position))
        if len(track.times) > _MOST_PICTURES:
            raise PermanentError(f"the video has more than {_MOST_PICTURES} frames, the limit")

    def _shift_for(self, index: int, decoded: float, duration_seconds: float) -> float:
        """Return the shift that closes all jumps so far. ffmpeg applies the same shift before it decodes."""
        if not self._jumps:
            return 0.0
        decoded += self._shift
        expected = self._next.get(index)
        if expected is not None:
            jump = decoded - expected
            if abs(jump) > _JUMP_SECONDS or jump < -_BACK_SECONDS - duration_seconds:
                self._shift -= jump
                decoded = expected
        self._next[index] = decoded + duration_seconds
        return self._shift


def _whole(word: bytes) -> int:
    """Return a number of up to 18 digits; -1 for anything else."""
    return int(word) if word.isdigit() and len(word) <= _DIGITS else -1


def _seconds(word: bytes) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
