"""Log set-up and line format: a line each on standard error, constant text and fields; text for people or JSON for machines."""

import json
import logging
import sys
import time
from typing import Literal

from dtqs.sink import LineSink, guard, sink_of

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTINUED = "    | "
"""Begins each line of a traceback; an entry begins with its time."""


def set_up(level: str, style: Literal["text", "json"], role: str) -> None:
    """Send every logger to standard error. `role` names the process in each line. No line, and nothing that is printed, waits for its reader."""
    guard()
    formatter = _Json(role) if style == "json" else _Text(role)
    sink = sink_of(sys.stderr)
    handler = _SinkHandler(sink, formatter) if sink else logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # pika logs every step of a connection at info, and each failed one with a traceback; ours says it in one line
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    # Pillow's debug lines hold what is in users' files
    logging.getLogger("PIL").setLevel(logging.WARNING)


class _SinkHandler(logging.Handler):
    """Gives each entry to a sink as one line, and the sink words for what it had to drop."""

    def __init__(self, sink: LineSink, formatter: logging.Formatter) -> None:
        super().__init__()
        self._sink, self._formatter = sink, formatter
        sink.notice = self._notice

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except (
            Exception
        ):  # as every handler of the library: an entry that cannot be made must not fail what it tells of
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
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def visible(text: str) -> str:
    """Make control and escape characters visible, so that a task's text cannot steer a terminal nor start a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Text(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = "".join(f" {key}={visible(str(value))}" for key, value in _fields(record).items())
        line = f"{at}.{int(record.msecs):03d}Z {record.levelname.lower():7} {self._role}: {visible(record.getMessage())}{fields}"
        if record.exc_info:
            # The exception's text may hold line feeds: the prefix keeps a line of it from passing for an entry of its own.
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
