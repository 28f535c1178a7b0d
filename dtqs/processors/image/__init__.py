"""The task type `image`: one image in, any number of sizes and formats out. Each step is a module of its own."""

from dtqs.processors.image.processor import ImageProcessor

__all__ = ["ImageProcessor"]
