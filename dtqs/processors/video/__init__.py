"""The task type `video`: one film in; films, sound, stills, sprites and streams out. Each step is a module; ffmpeg does the work, in a process of its own."""

from dtqs.processors.video.processor import VideoProcessor

__all__ = ["VideoProcessor"]
