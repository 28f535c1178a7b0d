"""One film as a file: mp4, webm, or sound alone. Its passes, and the bit rate that fits into `max_bytes`; written straight into the output's file."""

from dataclasses import dataclass
from typing import Any, BinaryIO

from dtqs.errors import PermanentError
from dtqs.processors.base import Json
from dtqs.processors.video import codecs, filters, overlays, paint, sound
from dtqs.processors.video.codecs import Options, Rate
from dtqs.processors.video.colour import Surface, film_surface
from dtqs.processors.video.command import Stream, output, own, place
from dtqs.processors.video.container import Container
from dtqs.processors.video.cut import Cut
from dtqs.processors.video.film import Film, Sound
from dtqs.processors.video.geometry import VideoFrame
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.overlays import Text
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import FILMS, SOUNDS, audio_codec_of, format_of, video_codec_of
from dtqs.processors.video.studio import Source, Studio
from dtqs.processors.video.verify import Expected, check

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
"""Bits per second that a container takes for itself, at most."""
_LEAST, _LEAST_SOUND, _MOST_SOUND = 16_000, 24_000, 320_000
_SOUND_PART = 0.25
_GENEROUS = 0.15
"""Bits per pixel above which constant quality is as good, and smaller."""


@dataclass(frozen=True, slots=True)
class FilmParts:
    """What a film is made of, decided before the first run."""

    cut: Cut
    frame: VideoFrame | None
    sound: Sound | None
    text: Text | None
    measured: dict[str, float] | None


class Take:
    """Makes one file."""

    def __init__(self, studio: Studio, asked: VideoOutput, meter: Meter) -> None:
        self._studio, self._asked, self._meter = studio, asked, meter
        self._format = format_of(asked)
        self._parts = self._decide()

    def make(self) -> list[Json]:
        """Encode, look at what came out, store it; returns what the result says of it."""
        made: list[Film] = []
        reader = _READERS[self._format]

        def write(file: BinaryIO) -> None:
            self._encode(file)
            film = self._studio.programs.probe(file, reader)
            check(self._asked.name, film, self._expected(), self._studio.programs.settings.max_duration_seconds)
            made.append(film)

        stored = self._studio.context.add_output(self._asked.name, write, reader.media_type)
        return [stored | made[0].facts()]

    def command(self, file: BinaryIO, rate: Rate | None = None) -> list[str]:
        """Return the command of a single run into that file."""
        return self._studio.programs.compiled(
            self._run(place(file), _MUXERS[self._format], rate or self._rate(), self._final_options())
        )

    def _decide(self) -> FilmParts:
        studio, asked = self._studio, self._asked
        frame = studio.frame(asked) if self._format in FILMS else None
        track = studio.sound(asked)
        if track is None and self._format in SOUNDS:
            raise PermanentError(f"output {asked.name}: the source has no sound")
        cut = studio.cut(asked, studio.picture() if frame else None, track)
        track = track if cut.heard else None
        text = overlays.subtitles(studio, asked, cut.span, cut.seconds)
        return FilmParts(cut, frame, track, text, sound.measure(studio, asked, track, cut, self._meter))

    def _expected(self) -> Expected:
        parts, asked = self._parts, self._asked
        cut = parts.cut
        return Expected(
            video_codec=video_codec_of(asked) if parts.frame else None,
            size=parts.frame.size if parts.frame else None,
            audio_codec=audio_codec_of(asked) if parts.sound else None,
            picture_seconds=cut.shown.end_seconds if cut.shown else None,
            sound_seconds=cut.heard.end_seconds if cut.heard else None,
            subtitles=int(self._carried() is not None),
        )

    def _encode(self, file: BinaryIO) -> None:
        """Encode once, or, to fit into max_bytes, until it does."""
        limit = self._asked.max_bytes
        rate = self._rate() if limit is None else self._rate_for(limit)
        for _ in range(_TRIES):
            self._passes(file, rate)
            size = file.seek(0, 2)
            if limit is None or size <= limit:
                return
            rate = self._lowered(rate, limit / size)
        raise self._does_not_fit()

    def _passes(self, file: BinaryIO, rate: Rate) -> None:
        final = self._final_options()
        if self._in_two_passes(rate):
            name = self._studio.encoder(video_codec_of(self._asked))
            self._go(self._run("-", "null", rate, codecs.pass_options(name, 1), first=True), (), 1, 2)
            self._go(
                self._run(place(file), _MUXERS[self._format], rate, final | codecs.pass_options(name, 2)), (file,), 2, 2
            )
        else:
            self._go(self._run(place(file), _MUXERS[self._format], rate, final), (file,), 1, 1)

    def _in_two_passes(self, rate: Rate) -> bool:
        if self._parts.frame is None or rate.bit_rate is None or not (self._asked.two_pass or self._asked.max_bytes):
            return False
        return self._studio.encoder(video_codec_of(self._asked)) in codecs.TWO_PASSES

    def _go(self, made: Stream, files: tuple[BinaryIO, ...], number: int, of: int) -> None:
        self._studio.run(made, self._meter, self._parts.cut.seconds, files, number, of)

    def _run(self, where: str, muxer: str, rate: Rate, options: Options, first: bool = False) -> Stream:
        """Build one run; the first of two passes only looks at the picture."""
        source = self._studio.source(self._parts.cut)
        streams: list[Stream] = []
        given: dict[str, Any] = {}
        if self._parts.frame:
            name = self._studio.encoder(video_codec_of(self._asked))
            streams.append(self._picture(source, self._parts.frame))
            given |= {"c:v": name} | codecs.video(name, rate, self._asked.speed, self._asked.keyframe_seconds)
            given |= codecs.timing(self._parts.cut.shown, self._asked.fps, self._format)
            if name == "libvpx-vp9" and self._in_two_passes(rate):
                given = codecs.paced(given, self._studio.picture().fps or 25.0)
            if self._surface.has_alpha:
                given |= codecs.TRANSPARENT
        if self._parts.sound and not first:
            streams.append(sound.stream(source, self._parts.sound, self._asked, self._parts.measured))
            given |= sound.options(self._studio, self._asked, self._parts.sound)
            if rate.sound_bit_rate:
                given["b:a"] = rate.sound_bit_rate
        if (text := self._carried()) and not first:
            streams.append(own(text.vtt, "webvtt")["s:0"])
        return output(streams, where, muxer, **(given | options), threads=self._studio.programs.settings.threads)

    def _picture(self, source: Source, frame: VideoFrame) -> Stream:
        asked, picture = self._asked, self._studio.picture()
        stream = paint.picture(
            source.picture(picture, repeats_last=self._repeats_last), frame, asked, picture, self._surface
        )
        stream = filters.held(stream, asked.fps, self._parts.cut.shown)
        if asked.watermark:
            stream = paint.marked(
                stream, overlays.watermark(self._studio, asked.watermark, frame.size), asked.watermark, self._surface
            )
        if asked.subtitles and asked.subtitles.mode == "burn" and self._parts.text:
            stream = paint.lettered(stream, self._parts.text.ass, self._parts.cut.span.start_seconds, self._surface)
        return stream

    @property
    def _repeats_last(self) -> bool:
        """WebM does not say how long a picture is shown; a rate of its own fills the time with pictures."""
        return self._format == "webm" and not self._asked.fps

    @property
    def _surface(self) -> Surface:
        """VP9 is the one codec whose films can be transparent."""
        keeps_alpha = video_codec_of(self._asked) == "vp9" and self._asked.background is None
        return film_surface(self._studio.picture().colour, keeps_alpha=keeps_alpha)

    def _carried(self) -> Text | None:
        """The subtitles that become a track; one without a cue would be none."""
        text = self._parts.text
        return text if text and text.cues and self._asked.subtitles and self._asked.subtitles.mode == "carry" else None

    def _final_options(self) -> Options:
        options: Options = {} if self._asked.keep_metadata else {"map_metadata": -1, "map_chapters": -1}
        if self._format in ("mp4", "aac") and self._asked.faststart is not False:
            options["movflags"] = "+faststart"
        if self._carried() and self._asked.subtitles:
            options |= {
                "c:s": "mov_text" if self._format == "mp4" else "copy",
                "metadata:s:s:0": f"language={self._asked.subtitles.language}",
            }
        return options

    def _rate(self) -> Rate:
        return Rate(self._asked.crf, self._asked.video_bit_rate, self._asked.max_bit_rate)

    def _rate_for(self, limit: int) -> Rate:
        """Share out the bits per second that fit. Raises PermanentError where that is too few, or nobody knows how long the film is."""
        seconds, frame, track = self._parts.cut.seconds, self._parts.frame, self._parts.sound
        if not seconds:
            raise PermanentError(f"output {self._asked.name}: max_bytes needs a film that says how long it is")
        whole = int(limit * 8 / seconds * 0.98) - _OVERHEAD
        if frame is None:
            return Rate(sound_bit_rate=self._at_least(min(whole, _MOST_SOUND)))
        usual = sound.bit_rate_of(self._asked, track) if track else 0
        own = usual if self._asked.audio_bit_rate else min(usual, max(_LEAST_SOUND, int(whole * _SOUND_PART)))
        budget = self._at_least(whole - own)
        fps = self._asked.fps or self._studio.picture().fps or 25.0
        if budget > frame.size[0] * frame.size[1] * fps * _GENEROUS:
            return Rate(max_bit_rate=budget, sound_bit_rate=own or None)
        return Rate(bit_rate=budget, sound_bit_rate=own or None)

    def _lowered(self, rate: Rate, part: float) -> Rate:
        part *= 0.95
        if self._parts.frame is None:
            return Rate(sound_bit_rate=self._at_least(int((rate.sound_bit_rate or 0) * part)))
        budget = rate.bit_rate or rate.max_bit_rate or 0
        return Rate(bit_rate=self._at_least(int(budget * part)), sound_bit_rate=rate.sound_bit_rate)

    def _at_least(self, budget: int) -> int:
        if budget < _LEAST:
            raise self._does_not_fit()
        return budget

    def _does_not_fit(self) -> PermanentError:
        return PermanentError(
            f"output {self._asked.name} does not fit into {self._asked.max_bytes} bytes: make it smaller, shorter or slower"
        )
