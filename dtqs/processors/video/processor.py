"""The steps of one `video` task, in order. Each kind of output has a module of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO, ClassVar

from dtqs.errors import PermanentError, Problem
from dtqs.processors import checks
from dtqs.processors.base import Context, Json, Processor
from dtqs.processors.outputs import OutputPart, common_problems, well_formed, whole
from dtqs.processors.video import presets, rules
from dtqs.processors.video.container import Container, recognise
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import DEFAULT_AUDIO_OUTPUTS, DEFAULT_OUTPUTS, VideoOutput, VideoPayload
from dtqs.processors.video.rules import SOUNDS, STILLS, VIDEOS, format_of
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.single_file import SingleFile
from dtqs.processors.video.sources import Sources
from dtqs.processors.video.stills import AnimatedClip, Sheet, Still
from dtqs.processors.video.streams import RenditionLadder
from dtqs.processors.video.studio import Programs, Studio
from dtqs.processors.video.timeline import INDEXED, Timeline
from dtqs.processors.video.tracks import no_track, picture_name
from dtqs.processors.video.video_info import VideoInfo

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
"""The rough cost of each format, relative to the others."""
_NOTABLE_SECONDS = 0.1
_UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


class VideoProcessor(Processor[VideoPayload, VideoSettings]):
    """Probe the source, then make one output after the other."""

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
                {"name": "clip", "preset": "web-1080p", "end_seconds": 30},
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
        return self._check(whole(payload.outputs))

    def problems_beside(self, payload: Json) -> Sequence[Problem]:
        return self._check(well_formed(VideoOutput, payload))

    def _check(self, parts: Sequence[OutputPart[VideoOutput]]) -> list[Problem]:
        found = common_problems(parts, self.settings.max_outputs)
        for part in parts:
            found += self._contradictions(part)
        return found

    def _contradictions(self, part: OutputPart[VideoOutput]) -> list[Problem]:
        """Find contradictions within one output and its preset, as far as both are valid."""
        output, unknown, found = part.output, part.wrong, []
        if "preset" not in unknown and output.preset not in (None, *self._presets):
            found = [part.problem("preset", presets.unknown(output.preset or "", self._presets))]
        if found or "preset" in unknown:
            unknown |= VideoOutput.model_fields.keys() - presets.settled_fields(output)
        else:
            output = presets.resolve(output, self._presets)
        clashes = rules.contradictions(output)
        return found + [
            part.problem(clash.field, clash.message) for clash in clashes if not unknown.intersection(clash.beside)
        ]

    def sources(self, payload: VideoPayload) -> Sequence[str]:
        resolved = [
            presets.resolve(output, self._presets)
            for output in payload.outputs
            if output.preset is None or output.preset in self._presets
        ]
        marks = [output.watermark.source for output in resolved if output.watermark]
        texts = [output.subtitles.source for output in resolved if output.subtitles and output.subtitles.source]
        return tuple(dict.fromkeys((payload.source, *marks, *texts)))

    def run(self, payload: VideoPayload, context: Context) -> Json:
        checks.refuse(self.problems(payload))
        outputs = [presets.resolve(output, self._presets) for output in payload.outputs]
        programs = Programs(self.settings, context.work_dir(), context.jail)
        with Sources(context) as sources:
            file = sources.open(payload.source)
            container = self._container(file)
            video = programs.probe(file, container)
            if payload.outputs == DEFAULT_OUTPUTS and video.picture is None:
                outputs = list(DEFAULT_AUDIO_OUTPUTS[: 2 if video.cover else 1])
            videos = [_with_track_of(output, video) for output in outputs]
            self._check_limits(videos, container.demuxer)
            timeline = programs.timeline(file, container, video)
            encoders = self._known_encoders(programs)
            studio = Studio(programs, context, sources, file, container, video, timeline, encoders)
            made = _make(studio, outputs, videos)
        return {"outputs": made, "source": _source_facts(container, video, timeline)}

    def _container(self, file: BinaryIO) -> Container:
        size, limit = file.seek(0, 2), self.settings.max_source_bytes
        if size > limit:
            raise PermanentError(f"the file has {size} bytes; allowed are {limit} (max_source_bytes)")
        return recognise(file)

    def _check_limits(self, videos: Sequence[VideoInfo], demuxer: str) -> None:
        """Check the tracks of each output before any frame is decoded. Raises PermanentError over a limit."""
        limits = self.settings
        for video in videos:
            if video.streams > limits.max_streams:
                raise PermanentError(
                    f"the file has {video.streams} streams; allowed are {limits.max_streams} (max_streams)"
                )
            if video.picture and video.picture.pixels > limits.max_pixels:
                raise PermanentError(
                    f"the source's {picture_name(video)} has {video.picture.width} × {video.picture.height} pixels;"
                    f" allowed are {limits.max_pixels} in all (max_pixels)"
                )
            # durations of other demuxers are estimates; their packets are checked later
            if demuxer in INDEXED and video.duration_seconds and video.duration_seconds > limits.max_duration_seconds:
                raise PermanentError(
                    f"the video lasts {video.duration_seconds:.0f} s; allowed are {limits.max_duration_seconds:g} s"
                    " (max_duration_seconds)"
                )

    def _known_encoders(self, programs: Programs) -> frozenset[str]:
        if self._encoders is None:
            self._encoders = programs.encoders()
        return self._encoders


def _source_facts(container: Container, video: VideoInfo, timeline: Timeline) -> dict[str, Json]:
    facts = {
        "media_type": container.media_type,
        "format": container.demuxer,
        "size_bytes": video.size_bytes,
        **video.facts(),
    }
    if timeline.is_measured:
        measured_seconds = timeline.seconds(video.picture)
        if abs(measured_seconds - (video.duration_seconds or 0.0)) > _NOTABLE_SECONDS:
            facts["duration_seconds"] = round(measured_seconds, 3)
    if video.picture:
        facts["rotation"] = video.picture.rotation
    return facts


def _with_track_of(output: VideoOutput, video: VideoInfo) -> VideoInfo:
    """Return the source with the output's video track selected. Raises PermanentError if there is no such track."""
    if output.video_track is not None:
        if output.video_track >= len(video.pictures):
            raise PermanentError(
                f"output {output.name}: the source has {no_track('video', output.video_track, len(video.pictures))}"
            )
        return video.showing(video.pictures[output.video_track])
    if video.picture is None and video.cover and format_of(output) in STILLS:
        return video.showing(video.cover)
    return video


def _make(studio: Studio, outputs: Sequence[VideoOutput], videos: Sequence[VideoInfo]) -> list[Json]:
    """Make the outputs in the order of the payload, each from its own video track."""
    meter = Meter(studio.context.progress, [_SHARES[format_of(output)] for output in outputs])
    made: list[Json] = []
    for output, video in zip(outputs, videos, strict=True):
        meter.begin(output.name)
        made += _maker(replace(studio, video=video), output, meter).make()
    return made


def _maker(
    studio: Studio, output: VideoOutput, meter: Meter
) -> SingleFile | RenditionLadder | Sheet | AnimatedClip | Still:
    format = format_of(output)
    if format == "hls":
        return RenditionLadder(studio, output, meter)
    if format in (*VIDEOS, *SOUNDS):
        return SingleFile(studio, output, meter)
    if format == "sprite":
        return Sheet(studio, output, meter)
    if format in rules.MOVING:
        return AnimatedClip(studio, output, meter)
    return Still(studio, output, meter)
