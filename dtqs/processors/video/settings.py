"""The keys of `[processor:video]`: limits of sources and outputs, the programs, and presets."""

from typing import Annotated

from pydantic import Field, field_validator

from dtqs.config.section import SeveralLines
from dtqs.processors.base import ProcessorSettings
from dtqs.processors.video.command import ReadLimits
from dtqs.processors.video.launch import Bounds
from dtqs.processors.video.presets import parse


class VideoSettings(ProcessorSettings):
    """Limits of sources, outputs and costs."""

    max_source_bytes: int = Field(default=16 << 30, ge=1, le=1 << 44, description="bytes of a source")
    max_duration_seconds: float = Field(
        default=21600.0, gt=0, le=7 * 86400, description="seconds of a source, and of each output"
    )
    max_pixels: int = Field(
        default=36_000_000,
        ge=1,
        le=1_000_000_000,
        description="width × height of each video track that an output uses, and of each output",
    )
    max_streams: int = Field(
        default=64, ge=1, le=1000, description="streams of a source: video, audio, subtitles and others"
    )
    max_outputs: int = Field(default=20, ge=1, le=100, description="outputs of one task")
    max_output_bytes: int = Field(default=16 << 30, ge=1000, le=1 << 44, description="bytes of one output file")
    max_memory_bytes: int = Field(
        default=8 << 30, ge=1 << 30, le=1 << 44, description="bytes of memory (address space) of one ffmpeg"
    )
    max_cpu_seconds: int = Field(
        default=86400, ge=1, le=30 * 86400, description="seconds of processor time of one ffmpeg, over all cores"
    )
    stall_seconds: float = Field(
        default=120.0, ge=1, le=3600, description="seconds without progress after which an ffmpeg is stopped"
    )
    threads: int = Field(default=0, ge=0, le=256, description="threads of one ffmpeg; 0: its own choice, by the cores")
    ffmpeg: str = Field(default="ffmpeg", min_length=1, description="the program, by name or path")
    ffprobe: str = Field(
        default="ffprobe", min_length=1, description="the program that describes videos, by name or path"
    )
    presets: Annotated[str, SeveralLines()] = Field(
        default="",
        description='further presets, as JSON: {"web-4k": {"format": "mp4", "short_side": 2160}}; '
        "continuation lines are indented",
    )

    @field_validator("presets")
    @classmethod
    def _presets_can_be_read(cls, text: str) -> str:
        parse(text)
        return " ".join(text.split())

    def bounds(self) -> Bounds:
        return Bounds(self.max_memory_bytes, self.max_cpu_seconds, self.max_output_bytes, self.stall_seconds)

    def read_limits(self) -> ReadLimits:
        return ReadLimits(self.max_pixels, self.max_streams, self.threads)
