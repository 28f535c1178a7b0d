"""Readings: one frozen reading of the whole system at a time, and what several of them tell; for console, web and command line."""

from dtqs.readings.alarms import alarms
from dtqs.readings.history import History
from dtqs.readings.reader import Reader
from dtqs.readings.values import (
    BrokerReading,
    Depth,
    Failure,
    Health,
    KeeperReading,
    Latency,
    LogEntry,
    QueuedTask,
    Rates,
    Reading,
    Totals,
    WorkerReading,
)

__all__ = [
    "BrokerReading",
    "Depth",
    "Failure",
    "Health",
    "History",
    "KeeperReading",
    "Latency",
    "LogEntry",
    "QueuedTask",
    "Rates",
    "Reader",
    "Reading",
    "Totals",
    "WorkerReading",
    "alarms",
]
