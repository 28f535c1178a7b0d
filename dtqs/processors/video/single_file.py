"""Make one video as one file: mp4, webm, or audio alone.

It decides the passes and the bit rate that fits into `max_bytes`, and writes straight into the output's file.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

from dtqs.errors import PermanentError
from dtqs.processors.base import Json
from dtqs.processors.video import burning, codecs, filters, overlays, paint, sound, tags
from dtqs.processors.video.codecs import Options, Rate
from dtqs.processors.video.colour import Surface, video_surface
from dtqs.processors.video.command import Stream, fd_path, output, own_file
from dtqs.processors.video.container import Container
from dtqs.processors.video.excerpt import Excerpt
from dtqs.processors.video.geometry import VideoFrame
from dtqs.processors.video.keyframes import KeyFrames
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.overlays import Text
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import SOUNDS, VIDEOS, audio_codec_of, format_of, video_codec_of
from dtqs.processors.video.studio import Source, Studio
from dtqs.processors.video.tracks import three_letters
from dtqs.processors.video.verify import Expected, check
from dtqs.processors.video.video_info import Sound, VideoInfo

_MUXERS = {"mp4": "mp4", "webm": "webm", "aac": "ipod", "mp3": "mp3", "opus": "opus"}
_READERS = {
    "mp4": Container("mov", "video/mp4"),
    "webm": Container("matroska", "video/webm"),
    "aac": Container("mov", "audio/mp4"),
    "mp3": Container("mp3", "audio/mpeg"),
    "opus": Container("ogg", "audio/ogg"),
}
_TRIES = 4
_OVERHEAD = 8_000
"""The most bits per second that a container needs for itself."""
_LEAST, _LEAST_SOUND = 16_000, 24_000
_SOUND_PART = 0.25
_GENEROUS = 0.15
"""Bits per pixel above which constant quality looks the same and makes a smaller file."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The parts of a file, decided before the first pass."""

    excerpt: Excerpt
    frame: VideoFrame | None
    sound: Sound | None
    text: Text | None
    measured: dict[str, float] | None


class SingleFile:
    """Make one file."""

    def __init__(self, studio: Studio, spec: VideoOutput, meter: Meter) -> None:
        self._studio, self._spec, self._meter = studio, spec, meter
        self._format = format_of(spec)
        self._plan = self._decide()

    def make(self) -> list[Json]:
        """Encode, check and store the file; return its entry of the result."""
        made: list[VideoInfo] = []
        reader = _READERS[self._format]

        def write(file: BinaryIO) -> None:
            self._encode(file)
            video = self._studio.programs.probe(file, reader)
            check(self._spec.name, video, self._expected(), self._studio.programs.settings.max_duration_seconds)
            made.append(video)

        stored = self._studio.context.add_output(self._spec.name, write, reader.media_type)
        return [stored | made[0].facts()]

    def command(self, file: BinaryIO, rate: Rate | None = None) -> list[str]:
        """Return the command that encodes in a single pass into this file."""
        return self._studio.programs.compiled(
            self._build_pass(fd_path(file), _MUXERS[self._format], rate or self._rate(), self._final_options())
        )

    def _decide(self) -> FilePlan:
        studio, spec = self._studio, self._spec
        frame = studio.frame(spec) if self._format in VIDEOS else None
        track = studio.sound(spec)
        if track is None and self._format in SOUNDS:
            raise PermanentError(f"output {spec.name}: the source has no audio track")
        excerpt = studio.excerpt(spec, studio.picture() if frame else None, track)
        track = track if excerpt.audio else None
        text = overlays.subtitles(studio, spec, excerpt.span, excerpt.seconds)
        self._spec, excerpt = burning.with_frames(spec, excerpt, text.cues if text else ())
        return FilePlan(excerpt, frame, track, text, sound.measure(studio, spec, track, excerpt, self._meter))

    def _expected(self) -> Expected:
        plan, spec = self._plan, self._spec
        excerpt = plan.excerpt
        return Expected(
            video_codec=video_codec_of(spec) if plan.frame else None,
            size=plan.frame.size if plan.frame else None,
            audio_codec=audio_codec_of(spec) if plan.sound else None,
            picture_seconds=excerpt.video.end_seconds if excerpt.video else None,
            sound_seconds=excerpt.audio.end_seconds if excerpt.audio else None,
            subtitles=int(self._carried() is not None),
            most_seconds=excerpt.seconds if excerpt.is_known else None,
        )

    def _encode(self, file: BinaryIO) -> None:
        """Encode once, or again until the file fits into max_bytes."""
        limit = self._spec.max_bytes
        rate = self._rate() if limit is None else self._rate_for(limit)
        for _ in range(_TRIES):
            self._run_passes(file, rate)
            size = file.seek(0, 2)
            if limit is None or size <= limit:
                return
            rate = self._lower(rate, limit / size)
        raise self._does_not_fit()

    def _run_passes(self, file: BinaryIO, rate: Rate) -> None:
        final = self._final_options()
        if self._in_two_passes(rate):
            name = self._studio.encoder(video_codec_of(self._spec))
            self._run_pass(self._build_pass("-", "null", rate, codecs.pass_options(name, 1), first=True), (), 1, 2)
            self._run_pass(
                self._build_pass(fd_path(file), _MUXERS[self._format], rate, final | codecs.pass_options(name, 2)),
                (file,),
                2,
                2,
            )
        else:
            self._run_pass(self._build_pass(fd_path(file), _MUXERS[self._format], rate, final), (file,), 1, 1)

    def _in_two_passes(self, rate: Rate) -> bool:
        if self._plan.frame is None or rate.bit_rate is None or not (self._spec.two_pass or self._spec.max_bytes):
            return False
        return self._studio.encoder(video_codec_of(self._spec)) in codecs.TWO_PASSES

    def _run_pass(self, made: Stream, files: tuple[BinaryIO, ...], number: int, of: int) -> None:
        self._studio.run(made, self._meter, self._plan.excerpt.seconds, files, number, of)

    def _build_pass(self, where: str, muxer: str, rate: Rate, options: Options, first: bool = False) -> Stream:
        """Build the command of one pass; the first of two passes reads the video only."""
        source = self._studio.source(self._plan.excerpt)
        streams: list[Stream] = []
        chosen: dict[str, Any] = {}
        if self._plan.frame:
            name = self._studio.encoder(video_codec_of(self._spec))
            streams.append(self._picture(source, self._plan.frame))
            chosen |= {"c:v": name} | codecs.video(name, rate, self._spec.speed) | self._key_frames(name)
            chosen |= codecs.timing(self._plan.excerpt.video, self._spec.fps, self._format)
            if name == "libvpx-vp9" and self._in_two_passes(rate):
                chosen = codecs.paced(chosen, self._studio.picture().fps or 25.0)
            if self._surface.has_alpha:
                chosen |= codecs.TRANSPARENT
        if self._plan.sound and not first:
            streams.append(sound.stream(source, self._plan.sound, self._spec, self._plan.measured))
            chosen |= sound.options(self._studio, self._spec, self._plan.sound)
            if rate.sound_bit_rate:
                chosen["b:a"] = rate.sound_bit_rate
        if (text := self._carried()) and not first:
            streams.append(own_file(text.vtt, "webvtt")["s:0"])
        return output(streams, where, muxer, **(chosen | options), threads=self._studio.programs.settings.threads)

    def _key_frames(self, encoder: str) -> Options:
        spec = self._spec
        if not spec.keyframe_seconds:
            return {}
        keys = KeyFrames(encoder, spec.keyframe_seconds, self._plan.excerpt.video, spec.fps, self._studio.picture().fps)
        if not keys.is_kept:
            raise PermanentError(
                f"output {spec.name}: the frame rate of the video is too uneven for keyframe_seconds with "
                f"{encoder}, this node's encoder for av1: set fps, or choose another video_codec"
            )
        return keys.options()

    def _picture(self, source: Source, frame: VideoFrame) -> Stream:
        spec, picture = self._spec, self._studio.picture()
        stream = paint.picture(
            source.picture(picture, repeats_last=self._repeats_last), frame, spec, picture, self._surface
        )
        stream = filters.hold_last(stream, spec.fps, self._plan.excerpt.video)
        if spec.watermark:
            stream = paint.add_watermark(
                stream, overlays.watermark(self._studio, spec.watermark, frame.size), spec.watermark, self._surface
            )
        if spec.subtitles and spec.subtitles.mode == "burn" and self._plan.text:
            stream = paint.add_subtitles(
                stream, self._plan.text.ass, self._plan.excerpt.span.start_seconds, self._surface
            )
        return stream

    @property
    def _repeats_last(self) -> bool:
        """WebM cannot store the duration of a frame. With a fixed rate, repeated frames fill the time instead."""
        return self._format == "webm" and not self._spec.fps

    @property
    def _surface(self) -> Surface:
        """The colours and pixels of the output. VP9 is the only codec with transparency."""
        keeps_alpha = video_codec_of(self._spec) == "vp9" and self._spec.background is None
        return video_surface(self._studio.picture().colour, keeps_alpha=keeps_alpha)

    def _carried(self) -> Text | None:
        """Return the subtitles that become a track, or None if the excerpt has no cue."""
        text = self._plan.text
        return text if text and text.cues and self._spec.subtitles and self._spec.subtitles.mode == "carry" else None

    def _final_options(self) -> Options:
        options = self._metadata_options()
        if self._format in ("mp4", "aac") and self._spec.faststart is not False:
            options["movflags"] = "+faststart"
        if self._carried() and self._spec.subtitles:
            language, is_mp4 = self._spec.subtitles.language, self._format == "mp4"
            options |= {
                "c:s": "mov_text" if is_mp4 else "copy",
                "metadata:s:s:0": f"language={three_letters(language) if is_mp4 else language}",
            }
        return options

    def _metadata_options(self) -> Options:
        """Return the options for title, date, place and chapters."""
        if not self._spec.keep_metadata:
            return {"map_metadata": -1, "map_chapters": -1}
        excerpt = self._plan.excerpt
        described = tags.described(self._studio.video, excerpt.span.start_seconds, excerpt.seconds)
        (self._studio.programs.folder / tags.FILE).write_text(described, encoding="utf-8", errors="replace")
        return {"map_metadata": tags.FILE, "map_chapters": tags.FILE}

    def _rate(self) -> Rate:
        return Rate(self._spec.crf, self._spec.video_bit_rate, self._spec.max_bit_rate)

    def _rate_for(self, limit: int) -> Rate:
        """Distribute the bits per second that fit.

        Raises PermanentError if they are too few, or if the duration is unknown.
        """
        seconds, frame, track = self._plan.excerpt.seconds, self._plan.frame, self._plan.sound
        if not seconds:
            raise PermanentError(f"output {self._spec.name}: max_bytes needs a source whose duration is known")
        whole = int(limit * 8 / seconds * 0.98) - _OVERHEAD
        if frame is None:
            most = sound.highest_bit_rate(self._spec, track) if track else whole
            return Rate(sound_bit_rate=self._at_least(min(whole, most)))
        default = sound.bit_rate_of(self._spec, track) if track else 0
        share = default if self._spec.audio_bit_rate else min(default, max(_LEAST_SOUND, int(whole * _SOUND_PART)))
        budget = self._at_least(whole - share)
        fps = self._spec.fps or self._studio.picture().fps or 25.0
        if budget > frame.size[0] * frame.size[1] * fps * _GENEROUS:
            return Rate(max_bit_rate=budget, sound_bit_rate=share or None)
        return Rate(bit_rate=budget, sound_bit_rate=share or None)

    def _lower(self, rate: Rate, part: float) -> Rate:
        part *= 0.95
        if self._plan.frame is None:
            return Rate(sound_bit_rate=self._at_least(int((rate.sound_bit_rate or 0) * part)))
        budget = rate.bit_rate or rate.max_bit_rate or 0
        return Rate(bit_rate=self._at_least(int(budget * part)), sound_bit_rate=rate.sound_bit_rate)

    def _at_least(self, budget: int) -> int:
        if budget < _LEAST:
            raise self._does_not_fit()
        return budget

    def _does_not_fit(self) -> PermanentError:
        return PermanentError(
            f"output {self._spec.name} does not fit into {self._spec.max_bytes} bytes: "
            "raise max_bytes, or lower the size, the fps or the length"
        )
