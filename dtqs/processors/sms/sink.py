"""The provider sink: sends nothing; each message becomes a line of JSON in a file, for trials."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from dtqs.processors.sms.message import AcceptedText, SmsNotTaken, TextMessage
from dtqs.processors.sms.settings import SmsSettings


class SmsSink:
    def __init__(self, settings: SmsSettings) -> None:
        self._path = settings.sink_file

    def send(self, message: TextMessage, begins: Callable[[], None]) -> AcceptedText:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # only the owner may read the texts
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SmsNotTaken("sink", f"{self._path}: {error.strerror}") from error
        try:
            # shared by all workers: only under the lock can an incomplete line be truncated
            fcntl.flock(file, fcntl.LOCK_EX)
            begins()
            _append(file, self._path, _line(message))
        finally:
            os.close(file)
        return AcceptedText(message.task_id, "written")

    def look(self) -> None:
        """Return None: there is no server to connect to."""

    def close(self) -> None:
        """Do nothing: no connection is kept."""


def _line(message: TextMessage) -> bytes:
    facts = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "task_id": message.task_id,
        "to": message.to,
        "sender": message.sender,
        "text": message.text,
        "segments": message.segments.count,
        "encoding": message.segments.encoding,
    }
    return orjson.dumps(facts) + b"\n"


def _append(file: int, path: Path, line: bytes) -> None:
    """Append the whole line durably, or nothing."""
    size = os.fstat(file).st_size
    try:
        if os.write(file, line) < len(line):
            raise OSError(0, "the line could not be written completely")
        os.fsync(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise SmsNotTaken("sink", f"{path}: {error.strerror}") from error
