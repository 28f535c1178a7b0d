"""The shared tools of a task's outputs: the source, ffmpeg and the limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.jail import Jail
from dtqs.processors.base import Context
from dtqs.processors.video import command, ffprobe, filters
from dtqs.processors.video.codecs import LEAST_SIDE, encoder, parse_encoders
from dtqs.processors.video.command import Stream, TimeSpan
from dtqs.processors.video.container import SUPPORTED, Container
from dtqs.processors.video.excerpt import Excerpt, choose_excerpt
from dtqs.processors.video.failures import UnsupportedCodec
from dtqs.processors.video.ffmpeg import Ffmpeg
from dtqs.processors.video.geometry import VideoFrame, frame, rendition
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.packets import JUMPING, PacketReader, PacketTrack
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import VIDEOS, format_of, side_fault, video_codec_of
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.sources import Sources
from dtqs.processors.video.timeline import Timeline
from dtqs.processors.video.tracks import picture_name, sound_of
from dtqs.processors.video.video_info import Picture, Sound, VideoInfo

_MOST_UNREAD = 8
_ROUNDING_SECONDS = 0.00001
_LEAD_SECONDS = 20.0
"""Key frames are closer together than this: broadcasters send one every second or two, and x264's default of 250
frames is 10 s."""


class Programs:
    """ffmpeg and ffprobe, running in the attempt's folder within the settings' limits."""

    def __init__(self, settings: VideoSettings, folder: Path, jail: Jail | None = None) -> None:
        self.settings, self.folder, self.limits = settings, folder, settings.read_limits()
        self.ffmpeg = Ffmpeg(folder, settings.bounds(), jail)

    def probe(self, file: BinaryIO, container: Container) -> VideoInfo:
        """Describe a file. Raises PermanentError."""
        unread: list[str] = []
        while True:
            try:
                answer = self.ffmpeg.ask(
                    command.probe(self.settings.ffprobe, file, container, self.limits, unread), [file]
                )
                break
            except UnsupportedCodec as error:  # the outputs may need only the other tracks
                if error.codec in unread or len(unread) == _MOST_UNREAD:
                    raise
                unread.append(error.codec)
        file.seek(0, 2)
        return replace(ffprobe.read(answer, container.demuxer, file.tell()), unread=frozenset(unread))

    def packets(
        self,
        file: BinaryIO,
        container: Container,
        pictures: Collection[int],
        others: Collection[int] = (),
        unread: Collection[str] = (),
    ) -> tuple[Mapping[int, PacketTrack], str]:
        """Read all packets of these tracks; return the tracks and ffprobe's complaints. Raises PermanentError."""
        reader = PacketReader(pictures, others, container.demuxer)
        complaints = self.ffmpeg.read(
            command.packets(self.settings.ffprobe, file, container, self.limits, unread), [file], reader.take
        )
        return reader.tracks, complaints

    def timeline(self, file: BinaryIO, container: Container, video: VideoInfo) -> Timeline:
        pictures, sounds = [picture.index for picture in video.all_pictures], [sound.index for sound in video.sounds]
        limit = self.settings.max_duration_seconds
        return Timeline(
            video, container.demuxer, limit, lambda: self.packets(file, container, pictures, sounds, video.unread)
        )

    def encoders(self) -> frozenset[str]:
        """Return the names of ffmpeg's encoders."""
        return parse_encoders(self.ffmpeg.ask([self.settings.ffmpeg, "-hide_banner", "-encoders"]))

    def compiled(self, made: Stream, log_level: str = "error") -> list[str]:
        return command.compiled(self.settings.ffmpeg, made, log_level)


@dataclass(frozen=True, slots=True)
class Source:
    """A part of the source as an input of ffmpeg.

    Reading begins `lead_seconds` before the part, to include a key frame. The lead is decoded and dropped.
    """

    made: Stream
    lead_seconds: float
    end_seconds: float | None
    """The end of the part on the input's clock."""
    excerpt: Excerpt | None = None

    def picture(self, picture: Picture, *, repeats_last: bool = False, from_start: bool = False) -> Stream:
        """Return the frames of a video track.

        `repeats_last`: add a last frame that stays for long once more, for formats that cannot store its duration.
        `from_start`: show the first frame from the begin of the part, for formats whose tracks must begin together.
        """
        stream = filters.end_video(self.made[str(picture.index)], self.end_seconds)
        timing = self.excerpt.video if self.excerpt else None
        if timing is None or self.excerpt is None:
            return filters.trim_video(stream, self.lead_seconds)
        if repeats_last and timing.is_held:
            stream = filters.repeat_last(stream)
        before = self.excerpt.span.start_seconds - timing.from_seconds
        return filters.retime(
            stream,
            self.lead_seconds,
            before,
            timing,
            repeats_last=repeats_last,
            from_start=from_start or not self.excerpt.audio,
        )

    def sound(self, sound: Sound) -> Stream:
        """Return an audio track at its original time: silence fills what is missing before and between."""
        stream = filters.end_audio(self.made[str(sound.index)], self.end_seconds)
        stream = filters.trim_audio(stream, self.lead_seconds)
        timing = self.excerpt.audio if self.excerpt else None
        return filters.fill_gaps(stream, timing) if timing and (timing.is_late or timing.has_gaps) else stream


@dataclass(frozen=True, slots=True)
class Studio:
    """One task's source, opened and probed."""

    programs: Programs
    context: Context
    sources: Sources
    file: BinaryIO
    container: Container
    video: VideoInfo
    timeline: Timeline
    encoders: frozenset[str]

    def encoder(self, codec: str) -> str:
        return encoder(codec, self.encoders)

    def picture(self) -> Picture:
        """Return the selected video track. Raises PermanentError if the source has no video or cannot be decoded."""
        if (picture := self.video.picture) is None:
            raise PermanentError("the source has no video track, only audio")
        name = picture_name(self.video)
        self._must_be_supported("video", name, picture)
        if not picture.pixels:
            raise PermanentError(f"the source's {name} has no readable frame size: it has no key frame, or is broken")
        if picture.is_dolby_vision_alone:
            raise PermanentError(
                f"the source's {name} is Dolby Vision of a kind that other players cannot show (profile 5), so its "
                "colours cannot be read: convert it to HDR10, HLG or SDR"
            )
        return picture

    def sound(self, output: VideoOutput) -> Sound | None:
        """Return the audio track of an output. Raises PermanentError if it is missing or cannot be decoded."""
        if wanted := sound_of(output, self.video.sounds):
            hint = "; mute leaves the audio out, audio_track and audio_language choose another track"
            self._must_be_supported("audio", f"audio track {self.video.sounds.index(wanted)}", wanted, hint)
        return wanted

    def _must_be_supported(self, kind: str, name: str, track: Picture | Sound, hint: str = "") -> None:
        if track.codec in self.video.unread:
            why = f"has the codec {track.codec}, which is not supported: allowed are {SUPPORTED[kind]}"
            raise PermanentError(f"the source's {name} {why}{hint}")

    def excerpt(self, output: VideoOutput, picture: Picture | None, sound: Sound | None) -> Excerpt:
        """Decide which part of these tracks is read. Raises PermanentError."""
        wanted = output.start_seconds or 0.0, output.end_seconds
        extents = [self.timeline.extent(track) if track else None for track in (picture, sound)]
        part = choose_excerpt(output.name, wanted, extents[0], extents[1], picture.rates if picture else ())
        if part.span.length_seconds is not None:
            return part
        # read one second beyond the limit, so that a source that is longer than it says shows
        return replace(part, span=replace(part.span, length_seconds=self.programs.settings.max_duration_seconds + 1))

    def source(self, part: Excerpt | TimeSpan) -> Source:
        """Return a part of the source as an input.

        Its frames may be as large as max_pixels, or as the track's own size, which has been checked.
        """
        limits = self.programs.limits
        if self.video.picture:
            limits = replace(limits, max_pixels=max(limits.max_pixels, self.video.picture.decoded_pixels))
        span, timing = (part.span, part.video) if isinstance(part, Excerpt) else (part, None)
        first = min(span.start_seconds, timing.from_seconds) if timing else span.start_seconds
        begin = max(0.0, first - _ROUNDING_SECONDS)
        if self.container.has_no_index:
            begin = max(0.0, begin - _LEAD_SECONDS)
        elif begin and begin < self.timeline.latest_picture_seconds:
            begin = 0.0  # ffmpeg seeks to a frame, here the first one, and would skip the audio before it
        clock = max(begin, late := self._late_seconds(part))
        if clock == late:
            begin = 0.0 if self.container.has_no_index else max(0.0, late - _ROUNDING_SECONDS)
        length = None if span.length_seconds is None else span.length_seconds + span.start_seconds - begin
        made = command.source(self.file, self.container, limits, TimeSpan(begin, length), self._input_options())
        lead = span.start_seconds - clock
        end = None if span.length_seconds is None else lead + span.length_seconds
        return Source(made, lead, end, part if isinstance(part, Excerpt) else None)

    def _late_seconds(self, part: Excerpt | TimeSpan) -> float:
        """Return the begin of the first track in use, if the clock of the format may jump.

        All versions of ffmpeg begin the clock of such a file there if they read all of it, or seek to that place. Only
        newer versions do so if they seek to an earlier place, or read all of an Ogg file.
        """
        if self.container.demuxer not in JUMPING:
            return 0.0
        if isinstance(part, Excerpt):
            return part.first_seconds
        return self.timeline.extent(self.video.picture).begin_seconds if self.video.picture else 0.0

    def _input_options(self) -> dict[str, str | int]:
        options: dict[str, str | int] = {}
        if (picture := self.video.picture) and picture.decoder:
            options[f"c:{picture.index}"] = picture.decoder
        if picture and not picture.has_matrix:
            # a change of size must reach our own filters: otherwise ffmpeg restarts the whole graph with its clocks
            options["reinit_filter"] = 0
        return options

    def frame(self, output: VideoOutput, short_side: int | None = None) -> VideoFrame:
        """Decide the size of an output, or of one of its renditions. Raises PermanentError if it is too large."""
        picture = self.picture()
        displayed = picture.width, picture.height
        try:
            decided = frame(displayed, output) if short_side is None else rendition(displayed, output, short_side)
        except ValueError as error:
            raise PermanentError(f"output {output.name}: {error}") from error
        (width, height), limit = decided.size, self.programs.settings.max_pixels
        if fault := side_fault(output, decided.size) or self._encoder_fault(output, decided.size):
            raise PermanentError(
                f"output {output.name} would have {width} × {height} pixels; {fault}: choose another size or codec"
            )
        if max(decided.scaled[0] * decided.scaled[1], width * height) > limit:
            raise PermanentError(
                f"output {output.name} would have {width} × {height} pixels; allowed are {limit} in all (max_pixels)"
            )
        return decided

    def _encoder_fault(self, output: VideoOutput, size: tuple[int, int]) -> str | None:
        if format_of(output) not in VIDEOS:
            return None
        codec = video_codec_of(output)
        name = self.encoder(codec)
        if min(size) >= LEAST_SIDE.get(name, 0):
            return None
        return f"{codec} needs {LEAST_SIDE[name]} pixels or more each way with {name}, the encoder of this node"

    def run(
        self,
        made: Stream,
        meter: Meter,
        seconds: float | None,
        files: tuple[BinaryIO, ...] = (),
        number: int = 1,
        of: int = 1,
        *,
        holds_back: bool = False,
    ) -> None:
        """Run one command that reads the source; `holds_back`: it may read much before its first frame comes out."""
        self.programs.ffmpeg.run(
            self.programs.compiled(made),
            (self.file, *files),
            meter.watch(seconds, number, of),
            holds_back=holds_back,
            buffers=True,
        )
