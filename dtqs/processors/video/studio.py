"""What the making of one task's outputs needs: the film, ffmpeg, the limits, and what several kinds of output ask of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dtqs.errors import PermanentError
from dtqs.jail import Jail
from dtqs.processors.base import Context
from dtqs.processors.video import command, film, filters
from dtqs.processors.video.codecs import encoder, listed
from dtqs.processors.video.command import Stream, TimeSpan
from dtqs.processors.video.container import READ, Container
from dtqs.processors.video.cut import Cut, cut
from dtqs.processors.video.ffmpeg import CodecUnread, Ffmpeg
from dtqs.processors.video.film import Film, Picture, Sound
from dtqs.processors.video.geometry import VideoFrame, frame, rendition
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.packets import JUMPING, PacketReader, PacketTrack
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.reel import Reel
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.sources import Sources
from dtqs.processors.video.tracks import picture_name, sound_of

_MOST_UNREAD = 8
_HAIR_SECONDS = 0.00001
_LEAD_SECONDS = 20.0
"""Key pictures stand closer together than that; broadcasters have one each second or two, and x264's usual 250 pictures are 10 s."""


class Programs:
    """ffmpeg and ffprobe in the attempt's folder, told what they may do."""

    def __init__(self, settings: VideoSettings, folder: Path, jail: Jail | None = None) -> None:
        self.settings, self.folder, self.guard = settings, folder, settings.guard()
        self.ffmpeg = Ffmpeg(folder, settings.bounds(), jail)

    def probe(self, file: BinaryIO, container: Container) -> Film:
        """Tell what a file is. Raises PermanentError."""
        unread: list[str] = []
        while True:
            try:
                answer = self.ffmpeg.ask(
                    command.probe(self.settings.ffprobe, file, container, self.guard, unread), [file]
                )
                break
            except CodecUnread as error:  # the other tracks may be all that is wanted
                if error.codec in unread or len(unread) == _MOST_UNREAD:
                    raise
                unread.append(error.codec)
        file.seek(0, 2)
        return replace(film.read(answer, container.demuxer, file.tell()), unread=frozenset(unread))

    def packets(
        self,
        file: BinaryIO,
        container: Container,
        pictures: Collection[int],
        others: Collection[int] = (),
        unread: Collection[str] = (),
    ) -> tuple[Mapping[int, PacketTrack], str]:
        """Read all packets of these tracks; return them, and what ffprobe complained of. Raises PermanentError."""
        reader = PacketReader(pictures, others, container.demuxer)
        said = self.ffmpeg.read(
            command.packets(self.settings.ffprobe, file, container, self.guard, unread), [file], reader.take
        )
        return reader.tracks, said

    def reel(self, file: BinaryIO, container: Container, film: Film) -> Reel:
        pictures, sounds = [picture.index for picture in film.all_pictures], [sound.index for sound in film.sounds]
        limit = self.settings.max_duration_seconds
        return Reel(
            film, container.demuxer, limit, lambda: self.packets(file, container, pictures, sounds, film.unread)
        )

    def encoders(self) -> frozenset[str]:
        """Return the names of the encoders that ffmpeg has."""
        return listed(self.ffmpeg.ask([self.settings.ffmpeg, "-hide_banner", "-encoders"]))

    def compiled(self, made: Stream, loudness: str = "error") -> list[str]:
        return command.compiled(self.settings.ffmpeg, made, loudness)


@dataclass(frozen=True, slots=True)
class Source:
    """A part of the film as an input. What is read before it, to have a key picture, is decoded and dropped."""

    made: Stream
    lead_seconds: float
    cut: Cut | None = None

    def picture(self, picture: Picture, *, repeats_last: bool = False, from_start: bool = False) -> Stream:
        """Return its pictures.

        `repeats_last`: the last one once more, where it stands for long, for formats that do not say how long it does;
        `from_start`: the first one is shown from the part's beginning on, for formats whose tracks must begin together.
        """
        stream, shown = self.made[str(picture.index)], self.cut.shown if self.cut else None
        if shown is None or self.cut is None:
            return filters.picture_from(stream, self.lead_seconds)
        if repeats_last and shown.is_held:
            stream = filters.repeated(stream)
        before = self.cut.span.start_seconds - shown.from_seconds
        return filters.placed(
            stream,
            self.lead_seconds,
            before,
            shown,
            repeats_last=repeats_last,
            from_start=from_start or not self.cut.heard,
        )

    def sound(self, sound: Sound) -> Stream:
        """Return its sound, which keeps its place: what is missing before and between is silence."""
        stream = filters.sound_from(self.made[str(sound.index)], self.lead_seconds)
        heard = self.cut.heard if self.cut else None
        return filters.filled(stream, heard) if heard and (heard.is_late or heard.has_gaps) else stream


@dataclass(frozen=True, slots=True)
class Studio:
    """One task's film, open and looked at."""

    programs: Programs
    context: Context
    sources: Sources
    file: BinaryIO
    container: Container
    film: Film
    reel: Reel
    encoders: frozenset[str]

    def encoder(self, codec: str) -> str:
        return encoder(codec, self.encoders)

    def picture(self) -> Picture:
        """Raises PermanentError where there is none."""
        if self.film.picture is None:
            raise PermanentError("the source has no picture, only sound")
        self._must_be_read("picture", picture_name(self.film), self.film.picture)
        return self.film.picture

    def sound(self, output: VideoOutput) -> Sound | None:
        """Return the track that the output takes. Raises PermanentError for one that is not there, or is not read."""
        if wanted := sound_of(output, self.film.sounds):
            hint = "; mute makes a film without it, audio_track and audio_language take another track"
            self._must_be_read("sound", f"audio track {self.film.sounds.index(wanted)}", wanted, hint)
        return wanted

    def _must_be_read(self, what: str, name: str, track: Picture | Sound, hint: str = "") -> None:
        if track.codec in self.film.unread:
            why = f"is {track.codec}, which is not read here: allowed are {READ[what]}"
            raise PermanentError(f"the film's {name} {why}{hint}")

    def cut(self, output: VideoOutput, picture: Picture | None, sound: Sound | None) -> Cut:
        """Decide which part is read, and what these tracks have in it. Raises PermanentError."""
        wanted = output.start_seconds or 0.0, output.end_seconds
        reaches = [self.reel.reach(track) if track else None for track in (picture, sound)]
        part = cut(output.name, wanted, reaches[0], reaches[1], picture.rates if picture else ())
        if part.span.length_seconds is not None:
            return part
        # more than a second beyond the limit is not read, and that is too much then
        return replace(part, span=replace(part.span, length_seconds=self.programs.settings.max_duration_seconds + 1))

    def source(self, part: Cut | TimeSpan) -> Source:
        """The film as an input; its pictures may become no larger than is allowed, or than they are said to be, which has been judged."""
        guard = self.programs.guard
        if self.film.picture:
            guard = replace(guard, max_pixels=max(guard.max_pixels, self.film.picture.decoded_pixels))
        span, shown = (part.span, part.shown) if isinstance(part, Cut) else (part, None)
        begin = max(0.0, min(span.start_seconds, shown.from_seconds if shown else span.start_seconds) - _HAIR_SECONDS)
        if self.container.has_no_index:
            begin = max(0.0, begin - _LEAD_SECONDS)
        length = None if span.length_seconds is None else span.length_seconds + span.start_seconds - begin
        made = command.source(self.file, self.container, guard, TimeSpan(begin, length), self._own_options())
        if isinstance(part, Cut) and self.container.demuxer in JUMPING:
            # ffmpeg begins the clock of such files with the first of those tracks that are used
            begin = max(begin, part.first_seconds)
        lead = span.start_seconds - begin
        return Source(made, lead, part if isinstance(part, Cut) else None)

    def _own_options(self) -> dict[str, str | int]:
        """Options of this film's input."""
        options: dict[str, str | int] = {}
        if (picture := self.film.picture) and picture.decoder:
            options[f"c:{picture.index}"] = picture.decoder
        if picture and not picture.has_matrix:
            # a change of size must reach our own filters: ffmpeg would begin the whole graph anew, and its clocks with it
            options["reinit_filter"] = 0
        return options

    def frame(self, output: VideoOutput, short_side: int | None = None) -> VideoFrame:
        """Decide the size of an output, or of one of its renditions. Raises PermanentError where it is more than allowed."""
        picture = self.picture()
        shown = picture.width, picture.height
        try:
            decided = frame(shown, output) if short_side is None else rendition(shown, output, short_side)
        except ValueError as error:
            raise PermanentError(f"output {output.name}: {error}") from error
        width, height = decided.size
        if max(decided.scaled[0] * decided.scaled[1], width * height) > self.programs.settings.max_pixels:
            raise PermanentError(
                f"output {output.name} would have {width} × {height} pixels; allowed are {self.programs.settings.max_pixels} in all"
            )
        return decided

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
        """Run one command that reads the film; `holds_back`: much of it may have been read before the first picture comes out."""
        self.programs.ffmpeg.run(
            self.programs.compiled(made), (self.file, *files), meter.watch(seconds, number, of), holds_back=holds_back
        )
