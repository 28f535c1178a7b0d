"""The task type `video`: makes videos, audio files, images, sprites and streams from one video.

Each step is a module; ffmpeg does the work, in a process of its own.
"""

from dtqs.processors.video.processor import VideoProcessor

__all__ = ["VideoProcessor"]
