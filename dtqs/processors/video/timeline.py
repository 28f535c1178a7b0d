"""The begin and end of each track: its index compared with its packets.

Packets are read once, and only if an output needs them. Times are on the source's clock, which begins with its first
track, as ffmpeg's does.
"""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dtqs.errors import PermanentError
from dtqs.processors.video.packets import CUT_SHORT, PacketTrack
from dtqs.processors.video.video_info import Picture, Sound, VideoInfo

ReadPackets = Callable[[], tuple[Mapping[int, PacketTrack], str]]
"""Reads all packets; returns the tracks and ffprobe's complaints."""
INDEXED = frozenset({"mov", "matroska", "flv", "avi", "wav", "flac", "asf", "mxf", "caf"})
"""Demuxers whose files store their duration. For others it is estimated from the data."""
_NO_DURATIONS = frozenset({"matroska", "mov"})
"""Packets of these often have no duration, so the end of the last frame is in the index alone."""


@dataclass(frozen=True, slots=True)
class TrackExtent:
    """The begin of a track, its end by the index and by its packets, and the time of each frame of a video track."""

    begin_seconds: float
    end_seconds: float
    packets_end_seconds: float
    times: "array[float]" = field(default_factory=lambda: array("d"))
    has_gaps: bool = False


class Timeline:
    """The tracks of a source, measured when the first of them is needed."""

    def __init__(self, video: VideoInfo, demuxer: str, limit_seconds: float, read_packets: ReadPackets) -> None:
        self._video, self._demuxer, self._limit_seconds = video, demuxer, limit_seconds
        self._read_packets = read_packets
        self.is_measured = False

    def extent(self, track: Picture | Sound) -> TrackExtent:
        """Return the begin and end of a track. Raises PermanentError if it is longer than allowed."""
        extent = self._extents[track.index]
        if extent.end_seconds > self._limit_seconds:
            raise PermanentError(
                f"the video lasts {extent.end_seconds:.0f} s; allowed are {self._limit_seconds:g} s"
                " (max_duration_seconds)"
            )
        return extent

    def seconds(self, picture: Picture | None) -> float:
        """Return the end of the source with this video track: the latest end of it and of all audio tracks."""
        kept: list[Picture | Sound] = [*([picture] if picture else []), *self._video.sounds]
        return max((self._extents[track.index].end_seconds for track in kept), default=0.0)

    @property
    def latest_picture_seconds(self) -> float:
        """The begin of the video track that begins last."""
        return max((self._extents[picture.index].begin_seconds for picture in self._video.pictures), default=0.0)

    @cached_property
    def _extents(self) -> dict[int, TrackExtent]:
        tracks, complaints = self._read_packets()
        is_cut_short = any(phrase in complaints for phrase in CUT_SHORT)
        self.is_measured = True
        kept: list[Picture | Sound] = [*self._video.all_pictures, *self._video.sounds]
        return {track.index: self._measure(track, tracks[track.index], is_cut_short) for track in kept}

    def _measure(self, track: Picture | Sound, packets: PacketTrack, is_cut_short: bool) -> TrackExtent:
        start = self._video.start_seconds
        packets_end = max(0.0, packets.end_seconds - start) if not packets.is_empty else 0.0
        index_end = track.end_seconds - start if track.end_seconds and self._demuxer in INDEXED else 0.0
        end = max(packets_end, index_end)
        is_whole = not is_cut_short and not packets.is_empty and packets.count >= (track.packets or 0)
        if self._demuxer in _NO_DURATIONS and is_whole:
            packets_end = end
        times = array("d", sorted(time - start for time in packets.times)) if packets.is_timed else array("d")
        begin = 0.0 if packets.is_empty else packets.begin_seconds - start
        return TrackExtent(begin, end, packets_end, times, packets.has_gaps)
