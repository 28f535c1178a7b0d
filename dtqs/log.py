"""Log set-up and line format: entries go to standard error, as text for people or as JSON for machines."""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from dtqs.errors import ConfigError
from dtqs.sink import LineSink, guard, sink_of

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTINUED = "    | "
"""Prefix of each line of a traceback; an entry begins with its time."""


def set_up(level: str, style: Literal["text", "json"], role: str, file: Path | None = None) -> None:
    """Send every logger to standard error. `role` names the process. Neither logs nor prints wait for a reader.

    With a `file`, standard error itself goes there, with all that others write to it. Raises ConfigError.
    """
    guard()
    if file:
        use_file(file)
    formatter = _Json(role) if style == "json" else _Text(role)
    sink = sink_of(sys.stderr)
    handler = _SinkHandler(sink, formatter) if sink else logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    _set_level(root, logging.getLevelName(level.upper()))
    # pika logs each step of a connection at info, and each failure with a traceback; DTQS logs one line instead
    _set_level(logging.getLogger("pika"), logging.CRITICAL)
    _set_level(logging.getLogger("psycopg"), logging.ERROR)
    # botocore's debug lines contain signatures and session tokens
    _set_level(logging.getLogger("botocore"), logging.WARNING)
    # Pillow's debug lines contain data of users' files
    _set_level(logging.getLogger("PIL"), logging.WARNING)


def _set_level(of: logging.Logger, level: int) -> None:
    """Set a level that differs. A forked process inherits its levels; to set one touches every logger, 0.3 MiB."""
    if of.level != level:
        of.setLevel(level)


class _Context:
    """The fields that this process adds to its entries, if an entry has none of that name."""

    fields: Callable[[], Mapping[str, object]] = dict


def add_fields(source: Callable[[], Mapping[str, object]]) -> None:
    """Call `source` for each entry from now on. It tells in which request or task this thread or greenlet is."""
    _Context.fields = source


def use_file(file: Path) -> None:
    """Send standard error to a file. Call `guard` before. Raises ConfigError."""
    sink = sink_of(sys.stderr)
    try:
        if sink:
            sink.use(file)
    except OSError as error:
        raise ConfigError(
            [f"[log] file = {file}: {error.strerror}; allowed: a file that this user may write, or empty"]
        ) from error


def reopen() -> str:
    """Open the log file again, or make it, after a rotation. Return its path; an empty text without such a file."""
    sink = sink_of(sys.stderr)
    if sink is None or sink.file is None:
        return ""
    try:
        sink.file.again()
    except OSError as error:
        logging.getLogger(__name__).warning(
            "log file not opened again: lines go to the old one", extra={"reason": str(error)}
        )
    return str(sink.file.path)


class _SinkHandler(logging.Handler):
    """Writes each entry to a sink, which logs dropped lines through this handler, too."""

    def __init__(self, sink: LineSink, formatter: logging.Formatter) -> None:
        super().__init__()
        self._sink, self._formatter = sink, formatter
        sink.notice = self._notice

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # like the handlers of `logging`: a faulty entry must not break the code that logs it
            self.handleError(record)

    def flush(self) -> None:
        self._sink.flush()

    def _notice(self, dropped: int) -> bytes:
        record = logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, "log lines dropped: nobody read them", None, None
        )
        record.__dict__["lines"] = dropped
        return f"{self._formatter.format(record)}\n".encode()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    try:
        return {**own, **{key: value for key, value in _Context.fields().items() if key not in own}}
    except Exception as error:  # an entry must not be lost
        return {**own, "fields_missing": type(error).__name__}


def visible(text: str) -> str:
    """Escape control characters, so that a task's text can neither steer a terminal nor start a new line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Text(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = "".join(f" {key}={visible(str(value))}" for key, value in _fields(record).items())
        level, message = record.levelname.lower(), visible(record.getMessage())
        line = f"{at}.{int(record.msecs):03d}Z {level:7} {self._role}: {message}{fields}"
        if record.exc_info:
            # The exception's text may contain line feeds. The prefix shows that such a line is not an entry.
            line += "".join(
                f"\n{_CONTINUED}{visible(part)}" for part in self.formatException(record.exc_info).split("\n")
            )
        return line


class _Json(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        value = {
            "at": record.created,
            "level": record.levelname.lower(),
            "role": self._role,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            value["exception"] = self.formatException(record.exc_info)
        return json.dumps(value, default=str)
