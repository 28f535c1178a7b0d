"""Inputs and outputs of tasks by URI: what a processor may open, and where its outputs go."""

from dtqs.files.local import FileSpace
from dtqs.files.pending import PendingFile, TooLarge
from dtqs.files.sniff import sniff

__all__ = ["FileSpace", "PendingFile", "TooLarge", "sniff"]
