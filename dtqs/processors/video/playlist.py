"""Read ffmpeg's HLS playlists, and write them again with the names under which the API serves the files; pure."""

import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_ROUNDING_SECONDS = 0.001
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
    """A rendition's entry in the master playlist."""

    uri: str
    size: tuple[int, int]
    fps: float | None
    codecs: str
    peak_bit_rate: int
    mean_bit_rate: int


@dataclass(frozen=True, slots=True)
class PlaylistTrack:
    """The entry of audio or subtitles in the master playlist."""

    kind: str
    uri: str
    name: str
    language: str | None


def read(text: str) -> MediaPlaylist:
    """Read a media playlist whose segments are byte ranges."""
    lines = tuple(line for line in text.splitlines() if line.strip())
    return _media_playlist(lines, [float(line[8:].partition(",")[0]) for line in lines if line.startswith("#EXTINF:")])


def with_packet_times(
    segments: MediaPlaylist, times: Sequence[float], positions: Sequence[int], end_seconds: float
) -> MediaPlaylist:
    """Return the playlist with the length of each segment's packets.

    ffmpeg's own lengths omit times without a new frame. A packet's position tells its segment.
    """
    ends = [start + size for size, start in _ranges(segments.lines)]
    begins: dict[int, float] = {}
    for time, position in zip(times, positions, strict=True):
        number = bisect_right(ends, position)
        begins[number] = min(time, begins.get(number, time))
    if empty := set(range(len(ends))) - begins.keys():
        raise ValueError(f"segments {sorted(empty)} have no packet")
    edges = [*(begins[number] for number in range(len(ends))), end_seconds]
    lengths = [max(0.0, after - before) for before, after in itertools.pairwise(edges)]
    remaining = iter(lengths)
    lines = [f"#EXTINF:{next(remaining):.6f}," if line.startswith("#EXTINF:") else line for line in segments.lines]
    target = f"#EXT-X-TARGETDURATION:{max(1, *(math.ceil(length - _ROUNDING_SECONDS) for length in lengths))}"
    return _media_playlist(
        tuple(target if line.startswith("#EXT-X-TARGETDURATION:") else line for line in lines), lengths
    )


def _media_playlist(lines: tuple[str, ...], lengths: Sequence[float]) -> MediaPlaylist:
    ranges = _ranges(lines)
    rates = [size * 8 / length for (size, _), length in zip(ranges, lengths, strict=True) if length > 0]
    seconds, end_bytes = sum(lengths), max((start + size for size, start in ranges), default=0)
    mean = round(sum(size for size, _ in ranges) * 8 / seconds) if seconds else 0
    return MediaPlaylist(lines, seconds, end_bytes, round(max(rates, default=0)), mean)


def _ranges(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return the size and start of each segment."""
    found = [line.partition(":")[2].partition("@") for line in lines if line.startswith("#EXT-X-BYTERANGE:")]
    return [(int(size), int(start)) for size, _, start in found]


def with_uri(segments: MediaPlaylist, uri: str) -> str:
    """Return the text of the playlist, with this URI for its only media file."""
    lines = [
        re.sub(r'URI="[^"]*"', f'URI="{uri}"', line) if line.startswith("#EXT-X-MAP:") else line
        for line in segments.lines
    ]
    return "\n".join(line if line.startswith("#") else uri for line in lines) + "\n"


def codecs(master: str) -> dict[str, str]:
    """Read the codecs of each variant from ffmpeg's master playlist; the keys are the names of their playlists."""
    found: dict[str, str] = {}
    lines = [line for line in master.splitlines() if line.strip()]
    for line, following in itertools.pairwise(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            found[following] = dict(_ATTRIBUTE.findall(line.partition(":")[2])).get("CODECS", "").strip('"')
    return found


def single(uri: str, seconds: float) -> str:
    """Return the playlist of subtitles, with a single segment."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, round(seconds + 0.5))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
    ]
    return "\n".join([*lines, "#EXT-X-PLAYLIST-TYPE:VOD", f"#EXTINF:{seconds:.6f},", uri, "#EXT-X-ENDLIST"]) + "\n"


def master(variants: Sequence[Variant], tracks: Sequence[PlaylistTrack], sound_bit_rates: tuple[int, int]) -> str:
    """Return the master playlist. Each variant's bit rates include the audio's peak and mean bit rate."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for track in tracks:
        language = f',LANGUAGE="{track.language}"' if track.language else ""
        first = "YES" if track.kind == "AUDIO" else "NO"
        lines.append(
            f'#EXT-X-MEDIA:TYPE={track.kind},GROUP-ID="{track.kind.lower()}",NAME="{track.name}"{language}'
            f',DEFAULT={first},AUTOSELECT=YES,URI="{track.uri}"'
        )
    groups = "".join(f',{kind}="{kind.lower()}"' for kind in dict.fromkeys(track.kind for track in tracks))
    for variant in variants:
        peak, mean = variant.peak_bit_rate + sound_bit_rates[0], variant.mean_bit_rate + sound_bit_rates[1]
        rates = f"BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean}"
        size = f",RESOLUTION={variant.size[0]}x{variant.size[1]}"
        fps = f",FRAME-RATE={variant.fps:.3f}" if variant.fps else ""
        named = f',CODECS="{variant.codecs}"' if variant.codecs else ""
        lines += [f"#EXT-X-STREAM-INF:{rates}{size}{fps}{named}{groups}", variant.uri]
    return "\n".join(lines) + "\n"
