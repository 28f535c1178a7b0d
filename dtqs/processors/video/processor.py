"""The steps of one task of type `video`, in order. What each output takes, its own module knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO, ClassVar

from dtqs.errors import PermanentError, Problem
from dtqs.processors.base import Context, Json, Processor
from dtqs.processors.outputs import OutputPart, common_problems, well_formed, whole
from dtqs.processors.video import presets, rules
from dtqs.processors.video.container import Container, recognise
from dtqs.processors.video.film import Film
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import USUAL, USUAL_OF_SOUND, VideoOutput, VideoPayload
from dtqs.processors.video.reel import INDEXED
from dtqs.processors.video.rules import FILMS, SOUNDS, STILLS, format_of
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.sources import Sources
from dtqs.processors.video.stills import AnimatedClip, Sheet, Still
from dtqs.processors.video.streams import RenditionLadder
from dtqs.processors.video.studio import Programs, Studio
from dtqs.processors.video.takes import Take
from dtqs.processors.video.tracks import no_track, picture_name

_SHARES = {
    "mp4": 100,
    "webm": 300,
    "hls": 250,
    "sprite": 20,
    "gif": 5,
    "webp": 5,
    "aac": 3,
    "mp3": 3,
    "opus": 3,
    "jpeg": 1,
    "png": 1,
}
"""About how the work of outputs compares."""
_WORTH_SAYING_SECONDS = 0.1
_UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


class VideoProcessor(Processor[VideoPayload, VideoSettings]):
    """Looks at the film, and makes one output after the other."""

    name = "video"
    payload_model = VideoPayload
    settings_model = VideoSettings
    timeout_seconds = 21600.0
    retry_on_timeout = False
    examples: ClassVar[Sequence[Json]] = (
        {"source": _UPLOAD},
        {
            "source": _UPLOAD,
            "outputs": [
                {"name": "film", "preset": "web-1080p", "end_seconds": 30},
                {"name": "poster", "format": "poster", "at_seconds": 2},
            ],
        },
        {
            "source": _UPLOAD,
            "outputs": [{"name": "stream", "preset": "hls-adaptive"}, {"name": "podcast", "preset": "audio-podcast"}],
        },
        {"source": _UPLOAD, "outputs": [{"name": "small", "format": "webm", "width": 640, "crf": 36, "mute": True}]},
    )

    def __init__(self, settings: VideoSettings) -> None:
        super().__init__(settings)
        self._presets = {**presets.BUILT_IN, **presets.parse(settings.presets)}
        self._encoders: frozenset[str] | None = None

    def problems(self, payload: VideoPayload) -> Sequence[Problem]:
        return self._judged(whole(payload.outputs))

    def problems_beside(self, payload: Json) -> Sequence[Problem]:
        return self._judged(well_formed(VideoOutput, payload))

    def _judged(self, parts: Sequence[OutputPart[VideoOutput]]) -> list[Problem]:
        found = common_problems(parts, self.settings.max_outputs)
        for part in parts:
            found += self._contradictions(part)
        return found

    def _contradictions(self, part: OutputPart[VideoOutput]) -> list[Problem]:
        """Find what does not fit together in one output with its preset, as far as both are known."""
        output, unknown, found = part.output, part.wrong, []
        if "preset" not in unknown and output.preset not in (None, *self._presets):
            found = [part.problem("preset", presets.unknown(output.preset or "", self._presets))]
        if found or "preset" in unknown:
            unknown |= VideoOutput.model_fields.keys() - presets.said(output)
        else:
            output = presets.resolve(output, self._presets)
        clashes = rules.contradictions(output)
        return found + [
            part.problem(clash.field, clash.message) for clash in clashes if not unknown.intersection(clash.beside)
        ]

    def sources(self, payload: VideoPayload) -> Sequence[str]:
        wholes = [
            presets.resolve(output, self._presets)
            for output in payload.outputs
            if output.preset is None or output.preset in self._presets
        ]
        marks = [whole.watermark.source for whole in wholes if whole.watermark]
        texts = [whole.subtitles.source for whole in wholes if whole.subtitles and whole.subtitles.source]
        return tuple(dict.fromkeys((payload.source, *marks, *texts)))

    def run(self, payload: VideoPayload, context: Context) -> Json:
        if problems := self.problems(
            payload
        ):  # this worker's presets may differ from those of the API that took the task
            raise PermanentError("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        outputs = [presets.resolve(output, self._presets) for output in payload.outputs]
        programs = Programs(self.settings, context.work_dir(), context.jail)
        with Sources(context) as sources:
            file = sources.open(payload.source)
            container = self._container(file)
            film = programs.probe(file, container)
            if payload.outputs == USUAL and film.picture is None:
                outputs = list(USUAL_OF_SOUND[: 2 if film.cover else 1])
            films = [_film_of(output, film) for output in outputs]
            self._judge(films, container.demuxer)
            reel = programs.reel(file, container, film)
            studio = Studio(programs, context, sources, file, container, film, reel, self._known_encoders(programs))
            made = _make(studio, outputs, films)
        facts = {
            "media_type": container.media_type,
            "format": container.demuxer,
            "size_bytes": film.size_bytes,
            **film.facts(),
        }
        if (
            reel.is_measured
            and abs((ends := reel.seconds(film.picture)) - (film.duration_seconds or 0.0)) > _WORTH_SAYING_SECONDS
        ):
            facts["duration_seconds"] = round(ends, 3)
        if film.picture:
            facts["rotation"] = film.picture.rotation
        return {"outputs": made, "source": facts}

    def _container(self, file: BinaryIO) -> Container:
        size, limit = file.seek(0, 2), self.settings.max_source_bytes
        if size > limit:
            raise PermanentError(f"the file has {size} bytes; allowed are {limit}")
        return recognise(file)

    def _judge(self, films: Sequence[Film], demuxer: str) -> None:
        """Judge the film as each output takes it. Raises PermanentError for what is over a limit, before a picture is decoded."""
        limits = self.settings
        for film in films:
            if film.streams > limits.max_streams:
                raise PermanentError(f"the file has {film.streams} streams; allowed are {limits.max_streams}")
            if film.picture and film.picture.pixels > limits.max_pixels:
                raise PermanentError(
                    f"the film's {picture_name(film)} has {film.picture.width} × {film.picture.height} pixels; allowed are {limits.max_pixels} in all"
                )
            # other lengths are guesses: the packets will tell
            if demuxer in INDEXED and film.duration_seconds and film.duration_seconds > limits.max_duration_seconds:
                raise PermanentError(
                    f"the film takes {film.duration_seconds:.0f} s; allowed are {limits.max_duration_seconds:g}"
                )

    def _known_encoders(self, programs: Programs) -> frozenset[str]:
        if self._encoders is None:
            self._encoders = programs.encoders()
        return self._encoders


def _film_of(output: VideoOutput, film: Film) -> Film:
    """Return the film with the picture track that the output takes. Raises PermanentError for one that is not there."""
    if output.video_track is not None:
        if output.video_track >= len(film.pictures):
            raise PermanentError(
                f"output {output.name}: the source has {no_track('video', output.video_track, len(film.pictures))}"
            )
        return film.showing(film.pictures[output.video_track])
    if film.picture is None and film.cover and format_of(output) in STILLS:
        return film.showing(film.cover)
    return film


def _make(studio: Studio, outputs: Sequence[VideoOutput], films: Sequence[Film]) -> list[Json]:
    """Make the outputs in the order in which they were asked for, each of the film as it takes it."""
    meter = Meter(studio.context.progress, [_SHARES[format_of(output)] for output in outputs])
    made: list[Json] = []
    for output, film in zip(outputs, films, strict=True):
        meter.begin(output.name)
        made += _maker(replace(studio, film=film), output, meter).make()
    return made


def _maker(studio: Studio, output: VideoOutput, meter: Meter) -> Take | RenditionLadder | Sheet | AnimatedClip | Still:
    format = format_of(output)
    if format == "hls":
        return RenditionLadder(studio, output, meter)
    if format in (*FILMS, *SOUNDS):
        return Take(studio, output, meter)
    if format == "sprite":
        return Sheet(studio, output, meter)
    if format in rules.MOVING:
        return AnimatedClip(studio, output, meter)
    return Still(studio, output, meter)
