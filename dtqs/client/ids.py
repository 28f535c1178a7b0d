"""Ids of tasks and files, checked before they become part of a path."""

from dtqs.client.values import Submitted, Task
from dtqs.errors import NotFound


def file_id_of(uri: str) -> str:
    """Return the id in an `upload:` URI. Raises NotFound for any other URI."""
    scheme, _, file_id = uri.rpartition(":")
    if scheme not in ("", "upload"):
        raise NotFound("file of the API", uri)
    return _checked(file_id, "file")


def task_id_of(task: str | Submitted | Task) -> str:
    """Return the id of a task. Raises NotFound for a malformed id."""
    return _checked(task if isinstance(task, str) else task.task_id, "task")


def _checked(text: str, noun: str) -> str:
    """Refuse an id that would lead to another path of the API."""
    if not text or not all(c.isalnum() or c == "-" for c in text):
        raise NotFound(noun, repr(text))
    return text
