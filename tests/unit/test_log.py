"""Log lines: what came from outside can neither steer a terminal nor start a line of its own."""

import logging
import sys

from dtqs.log import _Text


def test_an_exceptions_text_cannot_steer_a_terminal() -> None:
    try:
        raise ValueError("\x1b[2Jgone\r\u202eback\x9b")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())
    first, *rest = _Text("api").format(record).split("\n")
    assert first.endswith("api: it failed")
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == r"ValueError: \x1b[2Jgone\r\u202eback\x9b"
    assert all(line.isprintable() for line in [first, *rest])
