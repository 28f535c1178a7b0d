"""Inputs and outputs of tasks by URI: what a processor may open, and where its outputs go."""

from dtqs.files.local import FileSpace

__all__ = ["FileSpace"]
