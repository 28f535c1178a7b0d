"""The Python client: `from dtqs.client import Client`. It uses only HTTP and needs no driver for a server."""

from dtqs.client.client import Client
from dtqs.client.errors import ApiRefusal, ApiUnavailable, TaskNotCompleted, WaitOver
from dtqs.client.values import Event, LogRow, Page, StoredFile, Submission, Submitted, Task
from dtqs.errors import ConfigError, NotFound, RequestError
from dtqs.task import Status

__all__ = [
    "ApiRefusal",
    "ApiUnavailable",
    "Client",
    "ConfigError",
    "Event",
    "LogRow",
    "NotFound",
    "Page",
    "RequestError",
    "Status",
    "StoredFile",
    "Submission",
    "Submitted",
    "Task",
    "TaskNotCompleted",
    "WaitOver",
]
