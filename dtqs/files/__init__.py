"""Inputs and outputs of tasks by URI: what a processor may open, and where its outputs go."""

from dtqs.files.pending import PendingFile, TooLarge
from dtqs.files.sniff import sniff
from dtqs.files.space import FileSpace, StoredBytes

__all__ = ["FileSpace", "PendingFile", "StoredBytes", "TooLarge", "sniff"]
