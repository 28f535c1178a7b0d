"""The task type `image`: one picture in, any number of sizes and formats out. Each step is a module: payload, geometry, decode, colour, resize, encode."""

from dtqs.processors.image.processor import ImageProcessor

__all__ = ["ImageProcessor"]
