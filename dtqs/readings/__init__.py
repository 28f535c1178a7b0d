"""Readings: one frozen reading of the whole system at a time, and what several of them tell; for console, web and command line."""

from dtqs.readings.alarms import alarms
from dtqs.readings.history import History
from dtqs.readings.reader import SystemReader
from dtqs.readings.values import (
    BrokerReading,
    Depth,
    Failure,
    Health,
    KeeperReading,
    Latency,
    QueuedTask,
    Reading,
    SystemLogRow,
    SystemTotals,
    Throughput,
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
    "QueuedTask",
    "Reading",
    "SystemLogRow",
    "SystemReader",
    "SystemTotals",
    "Throughput",
    "WorkerReading",
    "alarms",
]
