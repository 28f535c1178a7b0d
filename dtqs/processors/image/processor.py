"""The task type `image`: opens the sources and stores the outputs. A process of its own, behind link.py, makes them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO, ClassVar

from dtqs.errors import PermanentError, Problem
from dtqs.processors import checks
from dtqs.processors.base import Context, Json, Processor
from dtqs.processors.image.link import ImageProcess, OutputFacts
from dtqs.processors.image.payload import ImageOutput, ImagePayload
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.outputs import OutputPart, common_problems, well_formed, whole

_INVALID = "the image made the process that decodes it send invalid messages"
_UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


class ImageProcessor(Processor[ImagePayload, ImageSettings]):
    """Decodes a source once, and makes all outputs from it."""

    name = "image"
    payload_model = ImagePayload
    settings_model = ImageSettings
    timeout_seconds = 300.0
    examples: ClassVar[Sequence[Json]] = (
        {"source": _UPLOAD},
        {
            "source": _UPLOAD,
            "outputs": [
                {
                    "name": "card",
                    "width": 600,
                    "height": 400,
                    "fit": "cover",
                    "gravity": "smart",
                    "format": "webp",
                    "quality": 80,
                },
                {"name": "avatar", "width": 128, "height": 128, "fit": "cover", "corner_radius": 64, "format": "png"},
                {
                    "name": "full",
                    "width": 2048,
                    "format": "jpeg",
                    "max_bytes": 500000,
                    "watermark": {"text": "© Ada", "opacity": 0.4},
                    "keep_metadata": True,
                },
            ],
        },
    )

    def __init__(self, settings: ImageSettings) -> None:
        super().__init__(settings)
        self._process = ImageProcess(settings)

    def problems(self, payload: ImagePayload) -> Sequence[Problem]:
        return self._output_problems(whole(payload.outputs))

    def problems_beside(self, payload: Json) -> Sequence[Problem]:
        return self._output_problems(well_formed(ImageOutput, payload))

    def _output_problems(self, parts: Sequence[OutputPart[ImageOutput]]) -> list[Problem]:
        most = self.settings.max_side_pixels
        over = [
            (part, side) for part in parts for side in ("width", "height") if (getattr(part.output, side) or 0) > most
        ]
        return common_problems(parts, self.settings.max_outputs) + [
            part.problem(side, f"at most {most} pixels are allowed") for part, side in over
        ]

    def sources(self, payload: ImagePayload) -> Sequence[str]:
        return payload.source_uris()

    def kept_pids(self) -> Collection[int]:
        pid = self._process.pid
        return () if pid is None else (pid,)

    def close(self) -> None:
        self._process.end()

    def run(self, payload: ImagePayload, context: Context) -> Json:
        checks.refuse(self.problems(payload))
        outputs = _Outputs(payload, context)
        with ExitStack() as stack:
            sources = {uri: stack.enter_context(context.open_input(uri)) for uri in payload.source_uris()}
            facts, remarks = self._process.run(payload, sources, outputs.add, context.jail)
        for remark in remarks:
            context.log(remark, level="warning")
        return {**facts, "outputs": outputs.in_order()}


class _Outputs:
    """The outputs made so far. They arrive largest first, and are listed in the payload's order."""

    def __init__(self, payload: ImagePayload, context: Context) -> None:
        self._asked, self._context = payload.outputs, context
        self._made: dict[int, Json] = {}

    def add(self, facts: OutputFacts, data: Iterator[bytes]) -> None:
        if facts.index >= len(self._asked) or facts.index in self._made:
            raise PermanentError(_INVALID)
        name = self._asked[facts.index].name

        def write(file: BinaryIO) -> None:
            for chunk in data:
                file.write(chunk)

        made = {**self._context.add_output(name, write, facts.media_type), "width": facts.width, "height": facts.height}
        if facts.frames > 1 or facts.milliseconds:
            made |= {"frames": facts.frames, "duration_seconds": facts.milliseconds / 1000}
        self._made[facts.index] = made
        if len(self._asked) > 1:  # for a single one the outcome is enough
            self._context.progress(len(self._made) / len(self._asked), f"{name}: {facts.width} × {facts.height}")

    def in_order(self) -> list[Json]:
        if len(self._made) < len(self._asked):
            raise PermanentError(_INVALID)
        return [self._made[index] for index in range(len(self._asked))]
