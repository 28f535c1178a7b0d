"""The task type `image`: one picture in, any number of sizes and formats out. Payload, process and result; the steps in between are in modules of their own."""

from dtqs.processors.image.processor import ImageProcessor

__all__ = ["ImageProcessor"]
