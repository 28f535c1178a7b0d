"""Readings of the whole system, and rates computed from several; for console, web page and command line."""

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
    QueueReading,
    Reading,
    SystemLogRow,
    SystemTotals,
    Throughput,
    WorkerCounts,
    WorkerPoolReading,
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
    "QueueReading",
    "QueuedTask",
    "Reading",
    "SystemLogRow",
    "SystemReader",
    "SystemTotals",
    "Throughput",
    "WorkerCounts",
    "WorkerPoolReading",
    "WorkerReading",
    "alarms",
]
