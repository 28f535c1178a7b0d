"""Makes the outputs of one task from its open sources. It runs in a process that may crash."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from dtqs.errors import PermanentError
from dtqs.processors.image.animation import Timing, first, is_kept, timed
from dtqs.processors.image.beside import beside
from dtqs.processors.image.broken import BROKEN
from dtqs.processors.image.colour import in_profile
from dtqs.processors.image.composed import Composed
from dtqs.processors.image.decode import (
    check_frames,
    check_source,
    count_frames,
    decoding,
    go_to,
    opened,
    stated_orientation,
)
from dtqs.processors.image.encode import Encoded, Finished, check_side, encode
from dtqs.processors.image.frame import ImageFrame
from dtqs.processors.image.geometry import Box, Plan, Size, contained, extent, needed, plan
from dtqs.processors.image.metadata import Metadata, read
from dtqs.processors.image.payload import ImageOutput, ImagePayload
from dtqs.processors.image.resize import Decoded, upright_size
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.image.smart import best
from dtqs.processors.image.sources import NAMES
from dtqs.processors.image.summary import blurhash, dominant_color, shrunk

_MARK_SIDE, _SMALL_SIDE = 2000, 96
_PIXEL_BYTES, _HELD_PART = 4, 8
"""The frames of all animations may take an eighth of the allowed memory; beyond that, they are not held."""
Json = dict[str, Any]
_ByProfile = Mapping[bool, Metadata]
"""The metadata of outputs that keep the source's profile, and of those in sRGB."""


@dataclass(frozen=True, slots=True)
class Made:
    """One output: its index in the payload, its file, and the size of its image."""

    index: int
    encoded: Encoded
    size: Size


class Work:
    """Decodes each needed page once, and makes all outputs from it."""

    def __init__(
        self,
        payload: ImagePayload,
        settings: ImageSettings,
        sources: Mapping[str, BinaryIO],
        hand_over: Callable[[Made], None],
    ) -> None:
        self._payload, self._settings, self._sources, self._hand_over = payload, settings, sources, hand_over
        self._marks: dict[tuple[str, bytes | None], Image.Image] = {}
        self._bytes_left = settings.max_output_bytes
        self._summary: Json = {}
        self.remarks: list[str] = []

    def run(self) -> Json:
        """Make all outputs, and return the facts about the source. Raises PermanentError or TransientError."""
        file = self._sources[self._payload.source]
        media_type, size_bytes = check_source(file, self._settings.max_source_bytes)
        with opened(file, media_type, self._settings.max_pixels) as image:
            with decoding(image.format or ""):
                frames, header = count_frames(image), _facts(image)
            name = NAMES.get(media_type, media_type.partition("/")[2])
            facts = {"media_type": media_type, "format": name, **header, "size_bytes": size_bytes, "frames": frames}
            for page, indices in sorted(self._pages().items()):
                if page >= frames:
                    raise PermanentError(f"page {page + 1} does not exist; the image has {frames}")
                with decoding(image.format or ""):
                    go_to(image, page, self._settings.max_pixels)
                self._page(image, indices, frames)
        return {"source": facts, **self._summary}

    def _pages(self) -> dict[int, list[int]]:
        """Return the outputs of each page; pages count from 0."""
        pages: dict[int, list[int]] = defaultdict(list)
        for index, output in enumerate(self._payload.outputs):
            pages[(output.page or 1) - 1].append(index)
        return pages

    def _page(self, image: ImageFile, indices: Sequence[int], frames: int) -> None:
        outputs = self._payload.outputs
        moving = {index for index in indices if is_kept(image, outputs[index], frames)}
        upright = upright_size(image)
        if moving:
            check_frames(frames, self._settings.max_frames)
        plans = {index: self._plan(upright, outputs[index]) for index in indices}
        with decoding(image.format or ""):
            decoded, plans = self._decode(image, plans)
            frame = self._frame(decoded, plans, bool(moving))
        keeping = [index for index in indices if outputs[index].keep_metadata]
        with_profile = {frame.profile_for(outputs[index]) is not None for index in keeping}
        metadata = {keeps_profile: read(image, keeps_profile) for keeps_profile in with_profile}
        plans = {index: frame.placed(plans[index]) for index in _by_size(plans)}
        for index in [index for index in plans if index not in moving]:
            self._finish(index, Finished([frame.make(outputs[index], plans[index])]), frame, metadata)
        if moving:
            self._animate(image, frame, {index: plans[index] for index in plans if index in moving}, frames, metadata)
        self._summarise(frame, decoded.whole)

    def _decode(self, image: ImageFile, plans: Mapping[int, Plan]) -> tuple[Decoded, dict[int, Plan]]:
        """Return the decoded image, and the plans with free parts moved to the most interesting area."""
        decoded = Decoded(image, needed(plans.values()))
        if not any(each.free for each in plans.values()):
            return decoded, dict(plans)
        full = extent(decoded.whole)
        small = decoded.part(decoded.whole, contained(full, _SMALL_SIDE)).picture

        def with_best_part(each: Plan) -> Plan:
            return each.with_part_at(*best(small, full, decoded.whole, extent(each.part))) if each.free else each

        return decoded, {index: with_best_part(each) for index, each in plans.items()}

    def _frame(self, decoded: Decoded, plans: Mapping[int, Plan], moves: bool) -> ImageFrame:
        """Return the needed parts, and the whole image, which the summary uses."""
        needs = {decoded.whole: contained(extent(decoded.whole), _SMALL_SIDE)} | needed(plans.values())
        return ImageFrame({part: decoded.part(part, size) for part, size in needs.items()}, self._mark, moves)

    def _animate(
        self, image: ImageFile, begins: ImageFrame, plans: Mapping[int, Plan], frames: int, metadata: _ByProfile
    ) -> None:
        pixels = frames * sum(planned.final[0] * planned.final[1] for planned in plans.values())
        together = pixels * _PIXEL_BYTES <= self._settings.max_memory_bytes // _HELD_PART
        finished = self._in_memory if together else self._streamed
        for index, made in finished(image, begins, plans, frames):
            self._finish(index, made, begins, metadata)

    def _in_memory(
        self, image: ImageFile, begins: ImageFrame, plans: Mapping[int, Plan], frames: int
    ) -> Iterator[tuple[int, Finished]]:
        """Decode each frame once, and hold its pixels for all outputs."""
        outputs, timing, needs = self._payload.outputs, Timing(), needed(plans.values())
        pictures: dict[int, list[Image.Image]] = {index: [] for index in plans}
        for _ in timed(image, frames, timing):
            frame = begins if image.tell() == 0 else self._next(image, needs)
            for index, planned in plans.items():
                pictures[index].append(frame.make(outputs[index], planned))
        for index in plans:
            yield index, Finished(pictures.pop(index), timing.milliseconds, timing.loops)

    def _streamed(
        self, image: ImageFile, begins: ImageFrame, plans: Mapping[int, Plan], frames: int
    ) -> Iterator[tuple[int, Finished]]:
        """Decode the animation once for its durations, and again for each output, whose writer asks frame by frame."""
        timing, start = Timing(), first(image, frames)
        for _ in timed(image, frames, timing):
            with decoding(image.format or ""):
                image.load()
        for index, planned in plans.items():
            output, needs = self._payload.outputs[index], needed([planned])

            def make(
                number: int, output: ImageOutput = output, planned: Plan = planned, needs: Mapping[Box, Size] = needs
            ) -> Image.Image:
                with decoding(image.format or ""):
                    image.seek(start + number)
                return (begins if start + number == 0 else self._next(image, needs)).make(output, planned)

            yield index, Finished([make(0)], timing.milliseconds, timing.loops, make)

    def _next(self, image: ImageFile, needs: Mapping[Box, Size]) -> ImageFrame:
        with decoding(image.format or ""):
            decoded = Decoded(image, needs)
            return ImageFrame({part: decoded.part(part, size) for part, size in needs.items()}, self._mark, True)

    def _finish(self, index: int, finished: Finished, frame: ImageFrame, metadata: _ByProfile) -> None:
        """Encode one output and hand it over."""
        output, size = self._payload.outputs[index], finished.frames[0].size
        profile = frame.profile_for(output)
        self._check_size(output, size)
        try:
            encoded = encode(finished, output, metadata[profile is not None] if output.keep_metadata else {}, profile)
        except BROKEN as error:
            raise PermanentError(
                f"output {output.name} cannot be written: {type(error).__name__}: {error}"[:300]
            ) from error
        self._bytes_left -= len(encoded.data)
        if self._bytes_left < 0:
            raise PermanentError(
                f"the outputs exceed the allowed {self._settings.max_output_bytes} bytes, beginning with {output.name}"
            )
        self._hand_over(Made(index, encoded, size))

    def _plan(self, upright: Size, output: ImageOutput) -> Plan:
        """Plan one output. Raises PermanentError for a size above the limits, before any pixel is decoded."""
        planned = plan(upright, output)
        self._check_size(output, planned.final)
        self._check_size(output, planned.size)
        return planned

    def _check_size(self, output: ImageOutput, size: Size) -> None:
        if max(size) > self._settings.max_side_pixels or size[0] * size[1] > self._settings.max_pixels:
            limits = f"{self._settings.max_side_pixels} each way and {self._settings.max_pixels} in all"
            raise PermanentError(f"output {output.name} would have {size[0]} × {size[1]} pixels; allowed are {limits}")
        check_side(output, size)

    def _mark(self, uri: str, profile: bytes | None) -> Image.Image:
        """Return the watermark image of a URI, opened as carefully as a source, and kept for the next output."""
        if (uri, None) not in self._marks:
            # it may be the source itself, which needs its own position
            with beside(self._sources[uri]) as file:
                self._marks[uri, None] = self._read_mark(file)
        if (uri, profile) not in self._marks:
            self._marks[uri, profile] = in_profile(self._marks[uri, None], profile)
        return self._marks[uri, profile]

    def _read_mark(self, file: BinaryIO) -> Image.Image:
        media_type, _ = check_source(file, self._settings.max_source_bytes)
        with opened(file, media_type, self._settings.max_pixels) as image, decoding(image.format or ""):
            whole = (0, 0, *upright_size(image))
            frame = self._next(image, {whole: contained(extent(whole), _MARK_SIDE)})
            return frame.small(whole)

    def _summarise(self, frame: ImageFrame, whole: Box) -> None:
        if not self._summary:
            small = shrunk(frame.small(whole))
            self._summary = {"blurhash": blurhash(small), "dominant_color": dominant_color(small)}
        if frame.remark and frame.remark not in self.remarks:
            self.remarks.append(frame.remark)


def _facts(image: ImageFile) -> Json:
    """Return the facts in the header."""
    width, height = upright_size(image)
    composed = image if isinstance(image, Composed) else None
    mode = composed.stored_mode if composed else image.mode
    return {
        "width": width,
        "height": height,
        "orientation": stated_orientation(image),
        "color_mode": mode,
        "has_profile": bool(image.info.get("icc_profile")),
        "has_alpha": not composed.opaque if composed else mode in ("LA", "RGBA", "PA") or "transparency" in image.info,
    }


def _by_size(plans: Mapping[int, Plan]) -> list[int]:
    """Return the indices of the plans, largest first, so that smaller images can be made from larger ones."""
    return sorted(plans, key=lambda index: -plans[index].full[0] * plans[index].full[1])
