"""How far a film's tracks go: what its index says, judged by what its packets hold. Packets are read once, and only when an output needs them.

All times are on the film's clock, which begins with the first of its tracks, as ffmpeg's does.
"""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dtqs.errors import PermanentError
from dtqs.processors.video.film import Film, Picture, Sound
from dtqs.processors.video.packets import CUT_SHORT, PacketTrack

Look = Callable[[], tuple[Mapping[int, PacketTrack], str]]
"""Reads all packets; returns the tracks, and what ffprobe complained of."""
INDEXED = frozenset({"mov", "matroska", "flv", "avi", "wav", "flac", "asf", "mxf", "caf"})
"""Demuxers whose files say how long they are; of others the length is reckoned from what is there."""
_UNSAID = frozenset({"matroska", "mov"})
"""Packets of these often do not say how long they last; the last picture's time is in the index alone."""


@dataclass(frozen=True, slots=True)
class Reach:
    """One track: where it begins and should end, and how far its packets really go; of a picture also when each is shown."""

    begin_seconds: float
    end_seconds: float
    held_seconds: float
    times: "array[float]" = field(default_factory=lambda: array("d"))
    has_gaps: bool = False


class Reel:
    """A film's tracks, measured when the first of them is asked for."""

    def __init__(self, film: Film, demuxer: str, limit_seconds: float, look: Look) -> None:
        self._film, self._demuxer, self._limit_seconds, self._look = film, demuxer, limit_seconds, look
        self.is_measured = False

    def reach(self, track: Picture | Sound) -> Reach:
        """Return where a track begins and ends. Raises PermanentError where it is longer than is allowed."""
        reach = self._reaches[track.index]
        if reach.end_seconds > self._limit_seconds:
            raise PermanentError(f"the film takes {reach.end_seconds:.0f} s; allowed are {self._limit_seconds:g}")
        return reach

    def seconds(self, picture: Picture | None) -> float:
        """Return where the film ends that shows this picture track: the end of the last of it and of the sounds."""
        kept: list[Picture | Sound] = [*([picture] if picture else []), *self._film.sounds]
        return max((self._reaches[track.index].end_seconds for track in kept), default=0.0)

    @cached_property
    def _reaches(self) -> dict[int, Reach]:
        tracks, complaints = self._look()
        is_cut = any(words in complaints for words in CUT_SHORT)
        self.is_measured = True
        film = self._film
        kept: list[Picture | Sound] = [*film.all_pictures, *film.sounds]
        return {track.index: self._judged(track, tracks[track.index], is_cut) for track in kept}

    def _judged(self, said: Picture | Sound, held: PacketTrack, is_cut: bool) -> Reach:
        start = self._film.start_seconds
        held_end = max(0.0, held.end_seconds - start) if not held.is_empty else 0.0
        said_end = said.end_seconds - start if said.end_seconds and self._demuxer in INDEXED else 0.0
        end = max(held_end, said_end)
        is_whole = not is_cut and not held.is_empty and held.count >= (said.packets or 0)
        if self._demuxer in _UNSAID and is_whole:
            held_end = end
        times = array("d", sorted(time - start for time in held.times)) if held.is_timed else array("d")
        return Reach(0.0 if held.is_empty else held.begin_seconds - start, end, held_end, times, held.has_gaps)
