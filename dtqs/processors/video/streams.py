"""A film as an HLS stream: a ladder of sizes from one decode, the sound once, subtitles as a track. One media file each, played by byte ranges.

The playlists name files by their ids, relative to themselves: what `GET /files/ID` serves plays as it is, and so does a folder of files named by their ids.
"""

from dataclasses import dataclass
from typing import Any

from dtqs.errors import PermanentError
from dtqs.processors.base import Json
from dtqs.processors.video import codecs, filters, overlays, paint, playlist, sound
from dtqs.processors.video.codecs import Rate
from dtqs.processors.video.colour import film_surface
from dtqs.processors.video.command import Stream, output
from dtqs.processors.video.container import Container
from dtqs.processors.video.film import Film
from dtqs.processors.video.geometry import VideoFrame
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import Rendition, VideoOutput
from dtqs.processors.video.playlist import MediaPlaylist, PlaylistTrack, Variant
from dtqs.processors.video.rules import audio_codec_of, video_codec_of
from dtqs.processors.video.storing import read_text, store_file
from dtqs.processors.video.studio import Source, Studio
from dtqs.processors.video.verify import Expected, check

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
_USUAL = tuple(Rendition(short_side=side) for side in (1080, 720, 480, 360, 240))
_CHEAPER = {"h264": 1.0, "hevc": 0.65, "av1": 0.55}
_SEGMENT_SECONDS = 6.0
_READER = Container("mov", "video/mp4")


@dataclass(frozen=True, slots=True)
class Rung:
    """One size of the ladder, and the bits that it may take."""

    name: str
    frame: VideoFrame
    rate: Rate


class RenditionLadder:
    """Makes one stream, which is many files."""

    def __init__(self, studio: Studio, asked: VideoOutput, meter: Meter) -> None:
        self._studio, self._asked, self._meter = studio, asked, meter
        track = studio.sound(asked)
        self._cut = studio.cut(asked, studio.picture(), track)
        self._sound, self._seconds = track if self._cut.heard else None, self._cut.seconds
        self._rungs = self._ladder()
        self._text = overlays.subtitles(studio, asked, self._cut.span, self._seconds)
        self._measured = sound.measure(studio, asked, self._sound, self._cut, meter)

    def make(self) -> list[Json]:
        """Encode all at once, look at each, store them from the media files up; the master playlist is the first of the result."""
        self._studio.run(self._command(), self._meter, self._seconds)
        known = playlist.codecs(read_text(self._folder / self._name("master.m3u8"), "the playlists"))
        parts: list[Json] = []
        variants: list[Variant] = []
        for number, rung in enumerate(self._rungs):
            segments, film = self._checked(number, rung)
            uri, made = self._stored(number, rung.name, segments, film, "video/mp4")
            parts += made
            fps = film.picture.fps if film.picture else None
            codec = known.get(self._name(f"{number}.m3u8"), "")
            variants.append(Variant(uri, rung.frame.size, fps, codec, segments.peak_bit_rate, segments.mean_bit_rate))
        tracks, rates = self._tracks(parts)
        return [self._master(variants, tracks, rates), *parts]

    def _ladder(self) -> list[Rung]:
        """The sizes that are no larger than the film; the film's own where all are."""
        picture, asked = self._studio.picture(), self._asked
        whole = (asked.crop.width, asked.crop.height) if asked.crop else (picture.width, picture.height)
        most = min(whole)
        steps = [step for step in asked.renditions or _USUAL if step.short_side <= most]
        steps = steps or [Rendition(short_side=most - most % 2 or 2)]
        rungs = [
            Rung(f"{step.short_side}p", self._studio.frame(asked, step.short_side), self._rate(step)) for step in steps
        ]
        return sorted(
            {rung.frame.size: rung for rung in rungs}.values(),
            key=lambda rung: -rung.frame.size[0] * rung.frame.size[1],
        )

    def _rate(self, step: Rendition) -> Rate:
        if step.video_bit_rate is not None:
            return Rate(bit_rate=step.video_bit_rate, max_bit_rate=step.max_bit_rate or step.video_bit_rate * 3 // 2)
        nearest = min(_RATES, key=lambda side: abs(side - step.short_side))
        usual = round(_RATES[nearest] * (step.short_side / nearest) ** 1.5 * _CHEAPER[video_codec_of(self._asked)])
        return Rate(
            step.crf if step.crf is not None else self._asked.crf, None, step.max_bit_rate or max(100_000, usual)
        )

    def _command(self) -> Stream:
        studio, asked = self._studio, self._asked
        source = studio.source(self._cut)
        streams = self._pictures(source)
        segment = asked.segment_seconds or _SEGMENT_SECONDS
        options: dict[str, Any] = {"map_metadata": -1, "map_chapters": -1, "threads": studio.programs.settings.threads}
        encoder = studio.encoder(video_codec_of(asked))
        for number, rung in enumerate(self._rungs):
            own = (
                {"c": encoder}
                | codecs.video(encoder, rung.rate, asked.speed, segment)
                | codecs.timing(self._cut.shown, asked.fps, "hls")
            )
            options |= {f"{name.partition(':')[0]}:v:{number}": value for name, value in own.items()}
        groups = [f"v:{number}" + (",agroup:sound" if self._sound else "") for number in range(len(streams))]
        if self._sound:
            streams.append(sound.stream(source, self._sound, asked, self._measured))
            options |= sound.options(studio, asked, self._sound)
            groups.append("a:0,agroup:sound")
        options |= {
            "hls_time": f"{segment:g}",
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
        """Decode once, and branch off each size."""
        studio, asked, picture = self._studio, self._asked, self._studio.picture()
        largest = self._rungs[0].frame
        surface = film_surface(picture.colour)
        stream = paint.picture(source.picture(picture, from_start=True), largest, asked, picture, surface)
        stream = filters.held(stream, asked.fps, self._cut.shown)
        if asked.watermark:
            stream = paint.marked(
                stream, overlays.watermark(studio, asked.watermark, largest.size), asked.watermark, surface
            )
        if self._text and asked.subtitles and asked.subtitles.mode == "burn":
            stream = paint.lettered(stream, self._text.ass, self._cut.span.start_seconds, surface)
        if len(self._rungs) == 1:
            return [stream]
        branches = stream.filter_multi_output("split", len(self._rungs))
        return [
            branches[0],
            *(
                paint.smaller(branches[number], self._rungs[number].frame, surface)
                for number in range(1, len(self._rungs))
            ),
        ]

    def _checked(self, number: int, rung: Rung | None) -> tuple[MediaPlaylist, Film]:
        """Look at a rendition, or, without a rung, at the sound. Raises PermanentError."""
        asked, cut, programs = self._asked, self._cut, self._studio.programs
        segments = playlist.read(read_text(self._folder / self._name(f"{number}.m3u8"), "the playlists"))
        with (self._folder / self._name(f"{number}.m4s")).open("rb") as file:
            film = programs.probe(file, _READER)
            tracks, _ = programs.packets(file, _READER, [0])
        if segments.end_bytes > film.size_bytes:
            raise PermanentError(
                f"output {asked.name}: {rung.name if rung else 'the sound'} has {film.size_bytes} bytes of {segments.end_bytes}"
            )
        if rung:
            expected = Expected(
                video_codec=video_codec_of(asked),
                size=rung.frame.size,
                picture_seconds=cut.shown.end_seconds if cut.shown else None,
            )
        else:
            expected = Expected(
                audio_codec=audio_codec_of(asked), sound_seconds=cut.heard.end_seconds if cut.heard else None
            )
        check(asked.name, film, expected, programs.settings.max_duration_seconds)
        ends = max(tracks[0].end_seconds, film.start_seconds + (film.duration_seconds or 0.0))
        return playlist.timed(segments, tracks[0].times, tracks[0].positions, ends), film

    def _stored(
        self, number: int, label: str, segments: MediaPlaylist, film: Film, media_type: str
    ) -> tuple[str, list[Json]]:
        """Store a media file and its playlist; returns how the master playlist names it, and what the result says of both."""
        context, about = self._studio.context, {"part_of": self._asked.name}
        facts = film.facts() | {"duration_seconds": round(segments.seconds, 3), "bit_rate": segments.mean_bit_rate}
        media = store_file(
            context, self._folder / self._name(f"{number}.m4s"), f"{self._asked.name}/{label}.m4s", media_type
        )
        text = playlist.renamed(segments, _relative(media, f"{label}.m4s")).encode()
        listing = context.add_output(f"{self._asked.name}/{label}.m3u8", lambda file: file.write(text), MEDIA_TYPE)
        return _relative(listing, f"{label}.m3u8"), [listing | about, media | about | facts]

    def _tracks(self, parts: list[Json]) -> tuple[list[PlaylistTrack], tuple[int, int]]:
        """Store sound and subtitles, and say how they are listed, and the sound's bit rates."""
        tracks, rates = [], (0, 0)
        if self._sound:
            number = len(self._rungs)
            segments, film = self._checked(number, None)
            uri, made = self._stored(number, "sound", segments, film, "audio/mp4")
            parts += made
            tracks.append(PlaylistTrack("AUDIO", uri, "Sound", None))
            rates = segments.peak_bit_rate, segments.mean_bit_rate
        wanted, text, context = self._asked.subtitles, self._text, self._studio.context
        if wanted and text and text.cues and wanted.mode == "carry":
            stored = store_file(context, self._folder / text.styled, f"{self._asked.name}/subtitles.vtt", "text/vtt")
            lines = playlist.single(_relative(stored, "subtitles.vtt"), self._seconds).encode()
            listing = context.add_output(
                f"{self._asked.name}/subtitles.m3u8", lambda file: file.write(lines), MEDIA_TYPE
            )
            parts += [listing | {"part_of": self._asked.name}, stored | {"part_of": self._asked.name}]
            tracks.append(
                PlaylistTrack("SUBTITLES", _relative(listing, "subtitles.m3u8"), wanted.title, wanted.language)
            )
        return tracks, rates

    def _master(self, variants: list[Variant], tracks: list[PlaylistTrack], rates: tuple[int, int]) -> Json:
        text = playlist.master(variants, tracks, rates).encode()
        stored = self._studio.context.add_output(self._asked.name, lambda file: file.write(text), MEDIA_TYPE)
        width, height = self._rungs[0].frame.size
        facts: dict[str, Any] = {
            "width": width,
            "height": height,
            "video_codec": video_codec_of(self._asked),
            "renditions": [r.name for r in self._rungs],
        }
        facts["duration_seconds"] = round(self._seconds, 3)
        if self._sound:
            facts["audio_codec"] = audio_codec_of(self._asked)
        return stored | facts

    @property
    def _folder(self) -> Any:
        return self._studio.programs.folder

    def _name(self, rest: str) -> str:
        return f"{self._asked.name}-{rest}"


def _relative(stored: dict[str, Json], name: str) -> str:
    """Return the URI by which a playlist beside it finds a file; the name is for players that want to see one."""
    return f"{stored['uri'].removeprefix('upload:')}?name={name}"
