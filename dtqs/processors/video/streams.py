"""Make an HLS stream: several sizes from one decode, the audio once, and subtitles as a track.

Each is one media file, played by byte ranges. The playlists name files by id, relative to themselves. So a stream
plays from `GET /files/ID`, and also from a folder with files named by their ids.
"""

from dataclasses import dataclass
from typing import Any

from dtqs.errors import PermanentError
from dtqs.processors.base import Json
from dtqs.processors.video import burning, codecs, filters, overlays, paint, playlist, sound
from dtqs.processors.video.codecs import Rate
from dtqs.processors.video.colour import video_surface
from dtqs.processors.video.command import Stream, output
from dtqs.processors.video.container import Container
from dtqs.processors.video.geometry import VideoFrame
from dtqs.processors.video.keyframes import KeyFrames
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import Rendition, VideoOutput
from dtqs.processors.video.playlist import MediaPlaylist, PlaylistTrack, Variant
from dtqs.processors.video.rules import audio_codec_of, video_codec_of
from dtqs.processors.video.storing import read_text, store_file
from dtqs.processors.video.studio import Source, Studio
from dtqs.processors.video.verify import Expected, check
from dtqs.processors.video.video_info import VideoInfo

MEDIA_TYPE = "application/vnd.apple.mpegurl"
_RATES = {
    2160: 16_000_000,
    1440: 9_000_000,
    1080: 5_000_000,
    720: 2_800_000,
    480: 1_400_000,
    360: 800_000,
    240: 400_000,
}
_DEFAULT_SIZES = tuple(Rendition(short_side=side) for side in (1080, 720, 480, 360, 240))
_CHEAPER = {"h264": 1.0, "hevc": 0.65, "av1": 0.55}
_SEGMENT_SECONDS = 6.0
_READER = Container("mov", "video/mp4")


@dataclass(frozen=True, slots=True)
class Rung:
    """One size of the ladder, and its bit rate."""

    name: str
    frame: VideoFrame
    rate: Rate


class RenditionLadder:
    """Make one stream, which has several files."""

    def __init__(self, studio: Studio, spec: VideoOutput, meter: Meter) -> None:
        self._studio, self._spec, self._meter = studio, spec, meter
        track = studio.sound(spec)
        self._excerpt = studio.excerpt(spec, studio.picture(), track)
        self._sound, self._seconds = track if self._excerpt.audio else None, self._excerpt.seconds
        self._rungs = self._ladder()
        self._text = overlays.subtitles(studio, spec, self._excerpt.span, self._seconds)
        cues = self._text.cues if self._text else ()
        self._spec, self._excerpt = burning.with_frames(spec, self._excerpt, cues)
        self._measured = sound.measure(studio, spec, self._sound, self._excerpt, meter)

    def make(self) -> list[Json]:
        """Encode all sizes at once, check each, and store media files before the playlists that name them.

        The master playlist is the first entry of the result.
        """
        self._studio.run(self._command(), self._meter, self._seconds)
        known = playlist.codecs(read_text(self._folder / self._name("master.m3u8"), "the playlists"))
        parts: list[Json] = []
        variants: list[Variant] = []
        for number, rung in enumerate(self._rungs):
            segments, video = self._check(number, rung)
            uri, made = self._store(number, rung.name, segments, video, "video/mp4")
            parts += made
            fps = video.picture.fps if video.picture else None
            codec = known.get(self._name(f"{number}.m3u8"), "")
            variants.append(Variant(uri, rung.frame.size, fps, codec, segments.peak_bit_rate, segments.mean_bit_rate))
        tracks, rates = self._tracks(parts)
        return [self._master(variants, tracks, rates), *parts]

    def _ladder(self) -> list[Rung]:
        """Return the sizes that are no larger than the video, or its own size if all are larger."""
        picture, spec = self._studio.picture(), self._spec
        whole = (spec.crop.width, spec.crop.height) if spec.crop else (picture.width, picture.height)
        most = min(whole)
        steps = [step for step in spec.renditions or _DEFAULT_SIZES if step.short_side <= most]
        steps = steps or [Rendition(short_side=most - most % 2 or 2)]
        rungs = [
            Rung(f"{step.short_side}p", self._studio.frame(spec, step.short_side), self._rate(step)) for step in steps
        ]
        return sorted(
            {rung.frame.size: rung for rung in rungs}.values(),
            key=lambda rung: -rung.frame.size[0] * rung.frame.size[1],
        )

    def _rate(self, step: Rendition) -> Rate:
        if step.video_bit_rate is not None:
            return Rate(bit_rate=step.video_bit_rate, max_bit_rate=step.max_bit_rate or step.video_bit_rate * 3 // 2)
        nearest = min(_RATES, key=lambda side: abs(side - step.short_side))
        default = round(_RATES[nearest] * (step.short_side / nearest) ** 1.5 * _CHEAPER[video_codec_of(self._spec)])
        return Rate(
            step.crf if step.crf is not None else self._spec.crf, None, step.max_bit_rate or max(100_000, default)
        )

    def _command(self) -> Stream:
        studio, spec = self._studio, self._spec
        source = studio.source(self._excerpt)
        streams = self._pictures(source)
        segment = spec.segment_seconds or _SEGMENT_SECONDS
        options: dict[str, Any] = {"map_metadata": -1, "map_chapters": -1, "threads": studio.programs.settings.threads}
        encoder = studio.encoder(video_codec_of(spec))
        keys = KeyFrames(encoder, segment, self._excerpt.video, spec.fps, studio.picture().fps)
        for number, rung in enumerate(self._rungs):
            options_of_rung = (
                {"c": encoder}
                | codecs.video(encoder, rung.rate, spec.speed)
                | keys.options()
                | codecs.timing(self._excerpt.video, spec.fps, "hls")
            )
            options |= {f"{name.partition(':')[0]}:v:{number}": value for name, value in options_of_rung.items()}
        groups = [f"v:{number}" + (",agroup:sound" if self._sound else "") for number in range(len(streams))]
        if self._sound:
            streams.append(sound.stream(source, self._sound, spec, self._measured))
            options |= sound.options(studio, spec, self._sound)
            groups.append("a:0,agroup:sound")
        options |= {
            "hls_time": f"{keys.split_seconds:g}",
            "hls_playlist_type": "vod",
            "hls_segment_type": "fmp4",
            "hls_flags": "single_file",
        }
        options |= {
            "hls_segment_filename": self._name("%v.m4s"),
            "master_pl_name": self._name("master.m3u8"),
            "var_stream_map": " ".join(groups),
        }
        return output(streams, self._name("%v.m3u8"), "hls", **options)

    def _pictures(self, source: Source) -> list[Stream]:
        """Decode once, then branch for each size."""
        studio, spec, picture = self._studio, self._spec, self._studio.picture()
        largest = self._rungs[0].frame
        surface = video_surface(picture.colour)
        stream = paint.picture(source.picture(picture, from_start=True), largest, spec, picture, surface)
        stream = filters.hold_last(stream, spec.fps, self._excerpt.video)
        if spec.watermark:
            stream = paint.add_watermark(
                stream, overlays.watermark(studio, spec.watermark, largest.size), spec.watermark, surface
            )
        if self._text and spec.subtitles and spec.subtitles.mode == "burn":
            stream = paint.add_subtitles(stream, self._text.ass, self._excerpt.span.start_seconds, surface)
        if len(self._rungs) == 1:
            return [stream]
        branches = stream.filter_multi_output("split", len(self._rungs))
        return [
            branches[0],
            *(
                paint.shrink(branches[number], self._rungs[number].frame, surface)
                for number in range(1, len(self._rungs))
            ),
        ]

    def _check(self, number: int, rung: Rung | None) -> tuple[MediaPlaylist, VideoInfo]:
        """Check a rendition, or the audio if there is no rung. Raises PermanentError."""
        spec, excerpt, programs = self._spec, self._excerpt, self._studio.programs
        segments = playlist.read(read_text(self._folder / self._name(f"{number}.m3u8"), "the playlists"))
        with (self._folder / self._name(f"{number}.m4s")).open("rb") as file:
            video = programs.probe(file, _READER)
            tracks, _ = programs.packets(file, _READER, [0])
        if segments.end_bytes > video.size_bytes:
            raise PermanentError(
                f"output {spec.name}: {rung.name if rung else 'the audio'} is cut short:"
                f" it has {video.size_bytes} of {segments.end_bytes} bytes"
            )
        if rung:
            expected = Expected(
                video_codec=video_codec_of(spec),
                size=rung.frame.size,
                picture_seconds=excerpt.video.end_seconds if excerpt.video else None,
            )
        else:
            expected = Expected(
                audio_codec=audio_codec_of(spec), sound_seconds=excerpt.audio.end_seconds if excerpt.audio else None
            )
        check(spec.name, video, expected, programs.settings.max_duration_seconds)
        ends = max(tracks[0].end_seconds, video.start_seconds + (video.duration_seconds or 0.0))
        try:
            return playlist.with_packet_times(segments, tracks[0].times, tracks[0].positions, ends), video
        except ValueError as error:
            raise PermanentError(f"output {spec.name} was made, but is not correct: {error}") from error

    def _store(
        self, number: int, label: str, segments: MediaPlaylist, video: VideoInfo, media_type: str
    ) -> tuple[str, list[Json]]:
        """Store a media file and its playlist; return the playlist's relative URI and both entries of the result."""
        context, about = self._studio.context, {"part_of": self._spec.name}
        facts = video.facts() | {"duration_seconds": round(segments.seconds, 3), "bit_rate": segments.mean_bit_rate}
        media = store_file(
            context, self._folder / self._name(f"{number}.m4s"), f"{self._spec.name}/{label}.m4s", media_type
        )
        text = playlist.with_uri(segments, _relative(media, f"{label}.m4s")).encode()
        listing = context.add_output(f"{self._spec.name}/{label}.m3u8", lambda file: file.write(text), MEDIA_TYPE)
        return _relative(listing, f"{label}.m3u8"), [listing | about, media | about | facts]

    def _tracks(self, parts: list[Json]) -> tuple[list[PlaylistTrack], tuple[int, int]]:
        """Store audio and subtitles; return their entries of the master playlist, and the audio's bit rates."""
        tracks, rates = [], (0, 0)
        if self._sound:
            number = len(self._rungs)
            segments, audio = self._check(number, None)
            uri, made = self._store(number, "sound", segments, audio, "audio/mp4")
            parts += made
            tracks.append(PlaylistTrack("AUDIO", uri, "Sound", None))
            rates = segments.peak_bit_rate, segments.mean_bit_rate
        wanted, text, context = self._spec.subtitles, self._text, self._studio.context
        if wanted and text and text.cues and wanted.mode == "carry":
            stored = store_file(context, self._folder / text.styled, f"{self._spec.name}/subtitles.vtt", "text/vtt")
            lines = playlist.single(_relative(stored, "subtitles.vtt"), self._seconds).encode()
            listing = context.add_output(
                f"{self._spec.name}/subtitles.m3u8", lambda file: file.write(lines), MEDIA_TYPE
            )
            parts += [listing | {"part_of": self._spec.name}, stored | {"part_of": self._spec.name}]
            tracks.append(
                PlaylistTrack("SUBTITLES", _relative(listing, "subtitles.m3u8"), wanted.title, wanted.language)
            )
        return tracks, rates

    def _master(self, variants: list[Variant], tracks: list[PlaylistTrack], rates: tuple[int, int]) -> Json:
        text = playlist.master(variants, tracks, rates).encode()
        stored = self._studio.context.add_output(self._spec.name, lambda file: file.write(text), MEDIA_TYPE)
        width, height = self._rungs[0].frame.size
        facts: dict[str, Any] = {
            "width": width,
            "height": height,
            "video_codec": video_codec_of(self._spec),
            "renditions": [rung.name for rung in self._rungs],
        }
        facts["duration_seconds"] = round(self._seconds, 3)
        if self._sound:
            facts["audio_codec"] = audio_codec_of(self._spec)
        return stored | facts

    @property
    def _folder(self) -> Any:
        return self._studio.programs.folder

    def _name(self, rest: str) -> str:
        return f"{self._spec.name}-{rest}"


def _relative(stored: dict[str, Json], name: str) -> str:
    """Return a file's URI relative to a playlist; the name is for players that need a file extension."""
    return f"{stored['uri'].removeprefix('upload:')}?name={name}"
