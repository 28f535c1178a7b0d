"""Inputs and outputs of tasks: opens sources by URI, and stores uploads and outputs."""

from dtqs.files.free_space import DiskReserved
from dtqs.files.pending import PendingFile, TooLarge
from dtqs.files.space import FileSpace, StoredBytes

__all__ = ["DiskReserved", "FileSpace", "PendingFile", "StoredBytes", "TooLarge"]
