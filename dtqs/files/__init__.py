"""Inputs and outputs of tasks: opens sources by URI, and stores uploads and outputs."""

from dtqs.files.pending import PendingFile, TooLarge
from dtqs.files.space import FileSpace, StoredBytes

__all__ = ["FileSpace", "PendingFile", "StoredBytes", "TooLarge"]
