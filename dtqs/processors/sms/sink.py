"""The provider sink: nobody is sent anything; each message is a line of JSON in a file, to be looked at."""

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
            # texts are nobody's business but their owner's
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SmsNotTaken("sink", f"{self._path}: {error.strerror}") from error
        try:
            fcntl.flock(
                file, fcntl.LOCK_EX
            )  # of all workers: so that a line that could not be written whole can be taken back
            begins()
            _append(file, self._path, _line(message))
        finally:
            os.close(file)
        return AcceptedText(message.task_id, "written")

    def look(self) -> None:
        """Nobody is connected to."""

    def close(self) -> None:
        """Nothing is kept."""


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
    """Append the whole line, on the disk, or nothing."""
    size = os.fstat(file).st_size
    try:
        if os.write(file, line) < len(line):
            raise OSError(0, "it could not be written whole")
        os.fsync(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise SmsNotTaken("sink", f"{path}: {error.strerror}") from error
