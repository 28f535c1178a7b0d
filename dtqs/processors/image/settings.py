"""The keys of `[processor:image]`: limits on sources, on outputs, and on the process that decodes."""

from pydantic import Field

from dtqs.processors.base import ProcessorSettings


class ImageSettings(ProcessorSettings):
    """Limits. A task that exceeds one fails without a retry, with a message that names the limit."""

    max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        le=1_000_000_000,
        description="width × height of a source, of each output, and of each frame of an animation",
    )
    max_frames: int = Field(default=1000, ge=1, le=1_000_000, description="frames of an animation that stays animated")
    max_source_bytes: int = Field(default=100 << 20, ge=1, le=1 << 34, description="bytes of a source")
    max_outputs: int = Field(default=20, ge=1, le=100, description="outputs of one task")
    max_side_pixels: int = Field(default=16383, ge=1, le=65535, description="width and height of an output")
    max_output_bytes: int = Field(
        default=256 << 20, ge=1000, le=1 << 34, description="bytes of all outputs of a task together"
    )
    max_memory_bytes: int = Field(
        default=2 << 30,
        ge=256 << 20,
        le=1 << 40,
        description="address space of the process that decodes, one for each worker",
    )
    max_cpu_seconds: int = Field(default=120, ge=1, le=86400, description="processor time of one task")
