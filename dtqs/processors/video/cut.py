"""A part of a film: which pictures are shown in it and when, where its sound begins, how far both go; pure."""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dtqs.errors import PermanentError
from dtqs.processors.video.command import TimeSpan
from dtqs.processors.video.reel import Reach
from dtqs.processors.video.verify import allowed_gap

_HAIR_SECONDS = 0.00001
_AT_ONCE_SECONDS = 0.02
"""A picture that comes so soon after the beginning may be the first one."""
_NEAR_SECONDS = 0.025
_LEAST_SOUND_SECONDS = 0.02
_OFF_GRID_SECONDS, _OFF_GRID_PART = 0.0012, 0.3
"""Matroska rounds to milliseconds, and its clock's beginning too."""
_USUAL = 1 / 25


@dataclass(frozen=True, slots=True)
class Shown:
    """The picture of a part. `from_seconds` is on the film's clock, all else on the part's own.

    `rate`: the pictures per second on whose beats all of them are; None: on no such beats. `is_known` is False where nobody knows when they are shown.
    """

    from_seconds: float
    begin_seconds: float
    last_seconds: float
    end_seconds: float
    longest_seconds: float
    rate: Fraction | None
    is_known: bool = True

    @property
    def usual_seconds(self) -> float:
        return float(1 / self.rate) if self.rate else _USUAL

    @property
    def is_held(self) -> bool:
        """Tell whether the last picture stands for longer than an encoder would think."""
        return self.is_known and self.end_seconds - self.last_seconds > self.usual_seconds + _AT_ONCE_SECONDS


@dataclass(frozen=True, slots=True)
class Heard:
    """The sound of a part, on the part's clock."""

    begin_seconds: float
    end_seconds: float
    has_gaps: bool

    @property
    def is_late(self) -> bool:
        return self.begin_seconds > 0.001


@dataclass(frozen=True, slots=True)
class Cut:
    """A part, and what its tracks have in it."""

    span: TimeSpan
    seconds: float
    first_seconds: float
    """Where the first of the tracks begins, by the film's clock."""
    shown: Shown | None
    heard: Heard | None


def cut(
    name: str,
    wanted: tuple[float, float | None],
    picture: Reach | None,
    sound: Reach | None,
    rates: Sequence[Fraction] = (),
) -> Cut:
    """Decide it. Raises PermanentError where nothing is in the part, or the film lacks what it should have there."""
    start, end = wanted
    film_end = max(reach.end_seconds for reach in (picture, sound) if reach)
    if start >= film_end:
        raise PermanentError(f"output {name}: start_seconds is {start:g}, and the film ends at {film_end:.3f}")
    # Matroska's clock, for one, begins with the silence that AAC and Opus put before the sound, 7 to 23 ms before the picture
    begin = picture.begin_seconds if picture and start < picture.begin_seconds <= start + _NEAR_SECONDS else start
    stop = film_end if end is None else min(end + begin - start, film_end)
    start = begin
    for what, reach in (("picture", picture), ("sound", sound)):
        if reach:
            _check_whole(name, what, reach, start, stop)
    heard = _heard(sound, start, stop) if sound else None
    if heard is None and picture is None and sound is not None:
        raise PermanentError(
            f"output {name}: there is no sound from {start:g} to {stop:g} s: it begins at {sound.begin_seconds:.3f}"
        )
    shown = _shown(name, picture, start, stop, rates) if picture else None
    first = min(reach.begin_seconds for reach, kept in ((picture, shown), (sound, heard)) if reach and kept)
    # a film that goes on behind its last packet's time is read to its end
    length = stop - start if end is not None and stop < film_end else None
    return Cut(TimeSpan(start, length), stop - start, first, shown, heard)


def shown_at(times: "array[float]", seconds: float) -> int:
    """Return the number of the picture that is shown then: the last one before it, else the first."""
    return max(0, bisect_right(times, seconds + _HAIR_SECONDS) - 1)


def _check_whole(name: str, what: str, reach: Reach, start: float, stop: float) -> None:
    wanted = min(reach.end_seconds, stop)
    if wanted - max(start, reach.held_seconds) > allowed_gap(wanted - start):
        why = f"its {what} goes on to {reach.end_seconds:.2f} s by its index, and ends at {reach.held_seconds:.2f} s"
        raise PermanentError(f"output {name}: the film is cut short or broken: {why}")


def _heard(sound: Reach, start: float, stop: float) -> Heard | None:
    begin, end = max(start, sound.begin_seconds), min(stop, sound.end_seconds)
    return Heard(begin - start, end - start, sound.has_gaps) if end - begin >= _LEAST_SOUND_SECONDS else None


def _shown(name: str, picture: Reach, start: float, stop: float, rates: Sequence[Fraction]) -> Shown:
    if picture.begin_seconds >= stop:
        raise PermanentError(
            f"output {name}: there is no picture before {stop:g} s: it begins at {picture.begin_seconds:.3f}"
        )
    # behind the end of the picture its last one stands for the rest
    end = (stop if start >= picture.end_seconds else min(stop, picture.end_seconds)) - start
    times = picture.times
    if not times:
        return Shown(start, 0.0, end, end, 0.0, None, is_known=False)
    first = _first(times, start)
    behind = max(first + 1, bisect_left(times, stop - _HAIR_SECONDS))
    places = array("d", (time - start for time in times[first:behind]))
    if places[0] <= _AT_ONCE_SECONDS:
        places[0] = 0.0
    longest = max((after - before for before, after in itertools.pairwise(places)), default=0.0)
    rate = next((rate for rate in rates if _is_on(places, rate)), None)
    return Shown(
        times[first], places[0], places[-1], max(end, places[-1]), max(longest, places[0], end - places[-1]), rate
    )


def _first(times: "array[float]", start: float) -> int:
    """Return the number of the first picture: the one shown at the start, or the next where it comes at once and is nearer."""
    shown = shown_at(times, start)
    if shown + 1 < len(times) and 0 < times[shown + 1] - start <= min(_AT_ONCE_SECONDS, start - times[shown]):
        return shown + 1
    return shown


def _is_on(places: "array[float]", rate: Fraction) -> bool:
    """Tell whether each picture falls on a beat of its own."""
    per_second, before = float(rate), -1
    slack = min(_OFF_GRID_SECONDS, _OFF_GRID_PART / per_second)
    for place in places:
        beat = round(place * per_second)
        if beat <= before or abs(beat / per_second - place) > slack:
            return False
        before = beat
    return True
