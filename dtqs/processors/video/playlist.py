"""HLS playlists as text: reading what ffmpeg wrote, and writing them anew with the names by which the API serves the files; pure."""

import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_HAIR = 0.001
_ATTRIBUTE = re.compile(r'(?<![A-Z-])([A-Z-]++)=("[^"]*"|[^,]*)')


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """The media playlist of one rendition, whose segments are parts of one file."""

    lines: tuple[str, ...]
    seconds: float
    end_bytes: int
    peak_bit_rate: int
    mean_bit_rate: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A rendition as the master playlist lists it."""

    uri: str
    size: tuple[int, int]
    fps: float | None
    codecs: str
    peak_bit_rate: int
    mean_bit_rate: int


@dataclass(frozen=True, slots=True)
class PlaylistTrack:
    """A sound or subtitles as the master playlist lists them."""

    kind: str
    uri: str
    name: str
    language: str | None


def read(text: str) -> MediaPlaylist:
    """Read a media playlist whose segments are byte ranges."""
    lines = tuple(line for line in text.splitlines() if line.strip())
    return _measured(lines, [float(line[8:].partition(",")[0]) for line in lines if line.startswith("#EXTINF:")])


def timed(
    segments: MediaPlaylist, times: Sequence[float], positions: Sequence[int], end_seconds: float
) -> MediaPlaylist:
    """Return the playlist with each segment as long as its packets are: ffmpeg's own figures miss the time in which no new picture comes.

    A packet's position says in which segment it is.
    """
    ends = [start + size for size, start in _ranges(segments.lines)]
    begins: dict[int, float] = {}
    for time, position in zip(times, positions, strict=True):
        number = bisect_right(ends, position)
        begins[number] = min(time, begins.get(number, time))
    if position_is_missing := set(range(len(ends))) - begins.keys():
        raise ValueError(f"segments {sorted(position_is_missing)} hold no packet")
    edges = [*(begins[number] for number in range(len(ends))), end_seconds]
    lengths = [max(0.0, after - before) for before, after in itertools.pairwise(edges)]
    left = iter(lengths)
    lines = [f"#EXTINF:{next(left):.6f}," if line.startswith("#EXTINF:") else line for line in segments.lines]
    target = f"#EXT-X-TARGETDURATION:{max(1, *(math.ceil(length - _HAIR) for length in lengths))}"
    return _measured(tuple(target if line.startswith("#EXT-X-TARGETDURATION:") else line for line in lines), lengths)


def _measured(lines: tuple[str, ...], lengths: Sequence[float]) -> MediaPlaylist:
    ranges = _ranges(lines)
    rates = [size * 8 / length for (size, _), length in zip(ranges, lengths, strict=True) if length > 0]
    seconds, end_bytes = sum(lengths), max((start + size for size, start in ranges), default=0)
    mean = round(sum(size for size, _ in ranges) * 8 / seconds) if seconds else 0
    return MediaPlaylist(lines, seconds, end_bytes, round(max(rates, default=0)), mean)


def _ranges(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return size and start of each segment."""
    found = [line.partition(":")[2].partition("@") for line in lines if line.startswith("#EXT-X-BYTERANGE:")]
    return [(int(size), int(start)) for size, _, start in found]


def renamed(segments: MediaPlaylist, uri: str) -> str:
    """Return the playlist with its one media file named by this URI."""
    lines = [
        re.sub(r'URI="[^"]*"', f'URI="{uri}"', line) if line.startswith("#EXT-X-MAP:") else line
        for line in segments.lines
    ]
    return "\n".join(line if line.startswith("#") else uri for line in lines) + "\n"


def codecs(master: str) -> dict[str, str]:
    """Return the codecs of each variant, by the name of its playlist, as ffmpeg's own master playlist says them."""
    found: dict[str, str] = {}
    lines = [line for line in master.splitlines() if line.strip()]
    for line, following in itertools.pairwise(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            found[following] = dict(_ATTRIBUTE.findall(line.partition(":")[2])).get("CODECS", "").strip('"')
    return found


def single(uri: str, seconds: float) -> str:
    """Return the playlist of subtitles, which are one segment."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, round(seconds + 0.5))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
    ]
    return "\n".join([*lines, "#EXT-X-PLAYLIST-TYPE:VOD", f"#EXTINF:{seconds:.6f},", uri, "#EXT-X-ENDLIST"]) + "\n"


def master(variants: Sequence[Variant], tracks: Sequence[PlaylistTrack], sound_bit_rates: tuple[int, int]) -> str:
    """Write the master playlist. The sound's peak and mean bit rates are part of every variant's."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for track in tracks:
        language = f',LANGUAGE="{track.language}"' if track.language else ""
        first = "YES" if track.kind == "AUDIO" else "NO"
        lines.append(
            f'#EXT-X-MEDIA:TYPE={track.kind},GROUP-ID="{track.kind.lower()}",NAME="{track.name}"{language},DEFAULT={first},AUTOSELECT=YES,URI="{track.uri}"'
        )
    groups = "".join(f',{kind}="{kind.lower()}"' for kind in dict.fromkeys(track.kind for track in tracks))
    for variant in variants:
        rates = f"BANDWIDTH={variant.peak_bit_rate + sound_bit_rates[0]},AVERAGE-BANDWIDTH={variant.mean_bit_rate + sound_bit_rates[1]}"
        size = f",RESOLUTION={variant.size[0]}x{variant.size[1]}"
        fps = f",FRAME-RATE={variant.fps:.3f}" if variant.fps else ""
        named = f',CODECS="{variant.codecs}"' if variant.codecs else ""
        lines += [f"#EXT-X-STREAM-INF:{rates}{size}{fps}{named}{groups}", variant.uri]
    return "\n".join(lines) + "\n"
