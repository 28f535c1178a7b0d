"""The steps of one task of type `image`, in order, and its settings."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from dtqs.errors import PermanentError, Problem
from dtqs.processors.base import Context, Json, Processor, ProcessorSettings
from dtqs.processors.image.decode import check_source, opened
from dtqs.processors.image.encode import check_side, encode
from dtqs.processors.image.geometry import Plan, Size, largest, plan
from dtqs.processors.image.metadata import Metadata, read
from dtqs.processors.image.payload import ImageOutput, ImagePayload
from dtqs.processors.image.resize import Ladder, load_at, shown_size


class ImageSettings(ProcessorSettings):
    """Limits on what comes in and what goes out."""

    max_pixels: int = Field(default=50_000_000, ge=1, le=1_000_000_000, description="width × height of a source, and of each output")
    max_source_bytes: int = Field(default=100 << 20, ge=1, le=1 << 34, description="bytes of a source")
    max_outputs: int = Field(default=20, ge=1, le=100, description="outputs of one task")
    max_side_pixels: int = Field(default=16383, ge=1, le=65535, description="width and height of an output")


class ImageProcessor(Processor[ImagePayload, ImageSettings]):
    """Decodes once, and makes all outputs from that."""

    name = "image"
    payload_model = ImagePayload
    settings_model = ImageSettings
    timeout_seconds = 300.0
    examples: ClassVar[Sequence[Json]] = (
        {"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"},
        {
            "source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42",
            "outputs": [
                {"name": "card", "width": 600, "height": 400, "fit": "cover", "format": "webp", "quality": 80},
                {"name": "full", "width": 2048, "format": "jpeg", "keep_metadata": True},
            ],
        },
    )

    def problems(self, payload: ImagePayload) -> Sequence[Problem]:
        limit = self.settings.max_outputs
        found = [Problem("payload.outputs", f"{len(payload.outputs)} outputs; at most {limit} are allowed")] if len(payload.outputs) > limit else []
        for index, output in enumerate(payload.outputs):
            for side in ("width", "height"):
                if (getattr(output, side) or 0) > self.settings.max_side_pixels:
                    found.append(Problem(f"payload.outputs[{index}].{side}", f"at most {self.settings.max_side_pixels} pixels are allowed"))
        return found

    def sources(self, payload: ImagePayload) -> Sequence[str]:
        return (payload.source,)

    def run(self, payload: ImagePayload, context: Context) -> Json:
        with context.open_input(payload.source) as file:
            media_type, size_bytes = check_source(file, self.settings.max_source_bytes)
            with opened(file, media_type, self.settings.max_pixels) as image:
                shown = shown_size(image)
                plans = [self._plan(shown, output) for output in payload.outputs]
                picture, remark = load_at(image, largest(shown, plans))
                metadata = read(image) if any(output.keep_metadata for output in payload.outputs) else {}
        if remark:
            context.log(remark, level="warning")
        outputs = _make(Ladder(picture), payload.outputs, plans, metadata, context)
        facts = {"media_type": media_type, "format": media_type.partition("/")[2], "width": shown[0], "height": shown[1], "size_bytes": size_bytes}
        return {"outputs": outputs, "source": facts}

    def _plan(self, shown: Size, output: ImageOutput) -> Plan:
        """Decide one output's size. Raises PermanentError where that is more than is allowed, before a pixel is decoded."""
        planned = plan(shown, output)
        width, height = planned.size
        if max(width, height) > self.settings.max_side_pixels or width * height > self.settings.max_pixels:
            limits = f"{self.settings.max_side_pixels} each way and {self.settings.max_pixels} in all"
            raise PermanentError(f"output {output.name} would have {width} × {height} pixels; allowed are {limits}")
        check_side(output, planned.size)
        return planned


def _make(ladder: Ladder, outputs: Sequence[ImageOutput], plans: Sequence[Plan], metadata: Metadata, context: Context) -> list[Json]:
    """Make the outputs, the largest first, and return what became of them in the order in which they were asked for."""
    made: dict[int, Json] = {}
    for index in sorted(range(len(plans)), key=lambda index: -plans[index].full[0] * plans[index].full[1]):
        output, size = outputs[index], plans[index].size
        data, media_type = encode(ladder.make(plans[index]), output, metadata if output.keep_metadata else {})
        stored = context.add_output(output.name, lambda file, data=data: file.write(data), media_type)  # type: ignore[misc]
        made[index] = {**stored, "width": size[0], "height": size[1]}
        context.progress(len(made) / len(plans), f"{output.name}: {size[0]} × {size[1]}")
    return [made[index] for index in range(len(plans))]
