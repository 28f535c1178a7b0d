"""Test processors without a worker, a server or a file store: `run(processor, payload)` makes one attempt."""

from dtqs.testing.attempt import Attempt, LogEntry, Output, Progress
from dtqs.testing.run import run

__all__ = ["Attempt", "LogEntry", "Output", "Progress", "run"]
