"""Make images of a video: a poster, a moving preview, and sheets of small images with a WebVTT index."""

import math
from typing import Any, BinaryIO

from dtqs.errors import PermanentError
from dtqs.processors.base import Json
from dtqs.processors.video import codecs, filters, overlays, paint, vtt, webp_end
from dtqs.processors.video.colour import Surface, image_surface
from dtqs.processors.video.command import Stream, TimeSpan, fd_path, output, own_file
from dtqs.processors.video.excerpt import frame_at
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import VideoOutput
from dtqs.processors.video.rules import format_of
from dtqs.processors.video.storing import store_file
from dtqs.processors.video.studio import Studio
from dtqs.processors.video.verify import check_picture, check_seconds
from dtqs.processors.video.video_info import Picture

_TYPICAL_OF, _TYPICAL_FROM = 30, 0.1
"""A typical frame is chosen among the first number of frames after the second part of the video."""
_MOVING_FPS, _MOVING_FRAMES = 10.0, 3000
_SHEET_SIDE, _MOST_TILES, _DEFAULT_TILES = 16_000, 10_000, 100
_LEAST_TILE_SECONDS = 0.04
"""A last tile that covers less than one frame is left out."""
_PALETTE = {"c:v": "png", "pix_fmt": "rgba", "frames:v": 1, "update": 1}
_JPEG_Q = (31, 2)
"""ffmpeg's worst and best quality."""


class Still:
    """One frame of the video as an image."""

    def __init__(self, studio: Studio, spec: VideoOutput, meter: Meter) -> None:
        self._studio, self._spec, self._meter = studio, spec, meter
        self._frame = studio.frame(spec)
        self._is_png = format_of(spec) == "png"

    def make(self) -> list[Json]:
        spec, studio = self._spec, self._studio
        picture = studio.picture()
        surface = image_surface(picture.colour, keeps_alpha=self._is_png and spec.background is None)
        stream = paint.picture(
            studio.source(TimeSpan(self._at(picture))).picture(picture), self._frame, spec, picture, surface
        )
        if spec.at_seconds is None:
            stream = stream.filter("thumbnail", n=_TYPICAL_OF)
        if not self._is_png:
            stream = paint.for_jpeg(stream)

        def write(file: BinaryIO) -> None:
            made = output([stream], fd_path(file), "image2pipe", **({"frames:v": 1} | self._options(surface)))
            studio.run(made, self._meter, None, (file,))
            check_picture(studio.programs.ffmpeg, spec.name, file, "PNG" if self._is_png else "JPEG", self._frame.size)

        stored = studio.context.add_output(spec.name, write, f"image/{'png' if self._is_png else 'jpeg'}")
        return [stored | {"width": self._frame.size[0], "height": self._frame.size[1]}]

    def _at(self, picture: Picture) -> float:
        """Return the begin of the frame shown at the requested time. Raises PermanentError after the video's end."""
        timeline, wanted = self._studio.timeline, self._spec.at_seconds
        extent, ends = timeline.extent(picture), timeline.seconds(picture)
        if wanted is not None and wanted > ends:
            raise PermanentError(
                f"output {self._spec.name}: at_seconds is {wanted:g}, but the video ends at {ends:.3f}"
            )
        at = extent.end_seconds * _TYPICAL_FROM if wanted is None else wanted
        if extent.times:
            return extent.times[frame_at(extent.times, at)]
        return max(0.0, min(at, extent.end_seconds - max(0.1, 1.5 / (picture.fps or 25.0))))

    def _options(self, surface: Surface) -> dict[str, Any]:
        return (
            {"c:v": "png", "pix_fmt": "rgba" if surface.has_alpha else "rgb24"}
            if self._is_png
            else _jpeg(self._spec.quality)
        )


class AnimatedClip:
    """An animated GIF or WebP."""

    def __init__(self, studio: Studio, spec: VideoOutput, meter: Meter) -> None:
        self._studio, self._meter = studio, meter
        self._spec = spec if spec.fps else spec.model_copy(update={"fps": _MOVING_FPS})
        self._frame, self._excerpt = studio.frame(spec), studio.excerpt(spec, studio.picture(), None)
        self._is_gif, self._seconds = format_of(spec) == "gif", self._excerpt.seconds
        if self._seconds * (self._spec.fps or 0) > _MOVING_FRAMES:
            raise PermanentError(
                f"output {spec.name} would have more than {_MOVING_FRAMES} frames, the limit:"
                " set end_seconds, or a lower fps"
            )

    def make(self) -> list[Json]:
        studio, spec, duration = self._studio, self._spec, [0.0]
        stream, runs = self._stream(), 1
        if self._is_gif:
            stream, runs = self._limited(stream), 2

        def write(file: BinaryIO) -> None:
            made = output(
                [stream],
                fd_path(file),
                "gif" if self._is_gif else "webp",
                **({"frames:v": _MOVING_FRAMES} | self._options()),
            )
            studio.run(made, self._meter, self._seconds, (file,), runs, runs, holds_back=True)
            timing = self._excerpt.video
            if timing and timing.is_known and not self._is_gif:
                webp_end.end_at(file, timing.end_seconds)
            frames, duration[0] = check_picture(
                studio.programs.ffmpeg, spec.name, file, "GIF" if self._is_gif else "WEBP", self._frame.size
            )
            # WebP merges frames that are all the same into one, which has no duration
            if self._is_gif or frames > 1:
                check_seconds(
                    spec.name, "video", duration[0], self._seconds, studio.programs.settings.max_duration_seconds
                )

        stored = studio.context.add_output(spec.name, write, f"image/{'gif' if self._is_gif else 'webp'}")
        width, height = self._frame.size
        timing = {"duration_seconds": round(duration[0], 3), "fps": spec.fps} if duration[0] else {}
        return [stored | {"width": width, "height": height} | timing]

    def _stream(self) -> Stream:
        spec, picture = self._spec, self._studio.picture()
        surface = image_surface(picture.colour, keeps_alpha=spec.background is None)
        stream = paint.picture(self._studio.source(self._excerpt).picture(picture), self._frame, spec, picture, surface)
        stream = filters.hold_last(stream, spec.fps, self._excerpt.video)
        if spec.watermark:
            stream = paint.add_watermark(
                stream, overlays.watermark(self._studio, spec.watermark, self._frame.size), spec.watermark, surface
            )
        if text := overlays.subtitles(self._studio, spec, self._excerpt.span, self._seconds):
            stream = paint.add_subtitles(stream, text.ass, self._excerpt.span.start_seconds, surface)
        return stream

    def _limited(self, stream: Stream) -> Stream:
        """Reduce the frames to a palette, in a run of its own: ffmpeg would hold all frames until it is chosen."""
        name = f"palette-{self._spec.name}.png"
        chosen = output(
            [paint.palette(stream.filter("trim", end_frame=_MOVING_FRAMES))], f"file:{name}", "image2", **_PALETTE
        )
        self._studio.run(chosen, self._meter, self._seconds, (), 1, 2, holds_back=True)
        if not (self._studio.programs.folder / name).is_file():
            raise PermanentError(f"output {self._spec.name}: the part has no frame: the source is cut short or broken")
        return paint.limited_to(stream, own_file(name, "png_pipe"))

    def _options(self) -> dict[str, Any]:
        once = self._spec.loop is False
        if self._is_gif:
            return {"loop": -1 if once else 0} | self._final_delay()
        return {
            "c:v": "libwebp_anim",
            "pix_fmt": "bgra",
            "quality": self._spec.quality or 75,
            "loop": 1 if once else 0,
        }

    def _final_delay(self) -> dict[str, Any]:
        """Return how long a GIF shows its last frame: ffmpeg would take the time of the frame before."""
        timing, fps = self._excerpt.video, self._spec.fps
        if timing is None or not timing.is_known or not fps:
            return {}
        seconds = codecs.last_frame_seconds(timing, fps)
        return {} if seconds is None else {"final_delay": max(1, round(100 * seconds))}


class Sheet:
    """Small images at even intervals, side by side: a contact sheet, or the previews of a player's timeline."""

    def __init__(self, studio: Studio, spec: VideoOutput, meter: Meter) -> None:
        self._studio, self._meter = studio, meter
        self._spec = spec if spec.width or spec.height or spec.short_side else spec.model_copy(update={"width": 160})
        self._frame, self._excerpt = studio.frame(self._spec), studio.excerpt(spec, studio.picture(), None)
        seconds = self._seconds = self._excerpt.seconds
        self._interval = spec.interval_seconds or max(0.1, seconds / _DEFAULT_TILES)
        self._tiles = max(1, math.ceil((seconds - _LEAST_TILE_SECONDS) / self._interval))
        if self._tiles > _MOST_TILES:
            raise PermanentError(
                f"output {spec.name} would have {self._tiles} images; allowed are {_MOST_TILES}:"
                " make interval_seconds longer"
            )
        (width, height), pixels = self._frame.size, studio.programs.settings.max_pixels
        # max_pixels holds for the whole sheet too, since it is decoded again for the check
        self._columns = min(
            spec.columns or 10, self._tiles, max(1, _SHEET_SIDE // width), max(1, pixels // (width * height))
        )
        most_rows = max(1, pixels // (self._columns * width * height))
        self._rows = min(
            spec.rows or 10, math.ceil(self._tiles / self._columns), max(1, _SHEET_SIDE // height), most_rows
        )

    def make(self) -> list[Json]:
        """Return the WebVTT file first, under the output's name, then its sheets."""
        spec, folder = self._spec, self._studio.programs.folder
        options = {"fps_mode:v": "passthrough"} | _jpeg(spec.quality)
        made = output([self._stream()], f"file:{spec.name}-%d.jpg", "image2", start_number=1, **options)
        self._studio.run(made, self._meter, self._seconds, holds_back=True)
        sheets: list[Json] = []
        for number in range(1, math.ceil(self._tiles / (self._columns * self._rows)) + 1):
            path = folder / f"{spec.name}-{number}.jpg"
            size = self._columns * self._frame.size[0], self._rows * self._frame.size[1]
            if not path.is_file():
                raise PermanentError(
                    f"output {spec.name}: sheet {number} is missing: the source is cut short or broken"
                )
            with path.open("rb") as file:
                check_picture(self._studio.programs.ffmpeg, spec.name, file, "JPEG", size)
            stored = store_file(self._studio.context, path, f"{spec.name}/{number}.jpg", "image/jpeg")
            sheets.append(stored | {"part_of": spec.name, "width": size[0], "height": size[1]})
        text = self._cues([sheet["uri"].removeprefix("upload:") for sheet in sheets]).encode()
        index = self._studio.context.add_output(spec.name, lambda file: file.write(text), "text/vtt")
        size = self._frame.size
        return [
            index
            | {"width": size[0], "height": size[1], "tiles": self._tiles, "interval_seconds": round(self._interval, 3)},
            *sheets,
        ]

    def _stream(self) -> Stream:
        picture = self._studio.picture()
        # the frame at the begin of each interval; the last one is repeated in case the video ends a little early
        stream = filters.repeat_last(self._studio.source(self._excerpt).picture(picture))
        stream = stream.filter("fps", fps=f"1/{self._interval:.6f}", start_time=0, round="up")
        stream = stream.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=self._tiles)
        stream = paint.picture(stream, self._frame, self._spec, picture, image_surface(picture.colour))
        return paint.for_jpeg(stream.filter("tile", layout=f"{self._columns}x{self._rows}"))

    def _cues(self, sheet_ids: list[str]) -> str:
        width, height = self._frame.size
        blocks = ["WEBVTT"]
        for tile in range(self._tiles):
            sheet, at = divmod(tile, self._columns * self._rows)
            x, y = at % self._columns * width, at // self._columns * height
            begin, end = tile * self._interval, min((tile + 1) * self._interval, self._seconds)
            blocks.append(
                f"{vtt.stamp(begin)} --> {vtt.stamp(end)}\n"
                f"{sheet_ids[sheet]}?name={sheet + 1}.jpg#xywh={x},{y},{width},{height}"
            )
        return "\n\n".join(blocks) + "\n"


def _jpeg(quality: int | None) -> dict[str, Any]:
    worst, best = _JPEG_Q
    return {"c:v": "mjpeg", "pix_fmt": "yuvj420p", "q:v": round(worst + (best - worst) * ((quality or 82) - 1) / 99)}
