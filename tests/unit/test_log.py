"""Log lines: outside text can neither control a terminal nor begin a line of its own."""

import logging
import sys

import pytest

from dtqs.log import _Context, _set_level, _Text, add_fields


def test_the_text_of_an_exception_cannot_control_a_terminal() -> None:
    try:
        raise ValueError("\x1b[2Jgone\r\u202eback\x9b")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())
    first, *rest = _Text("api").format(record).split("\n")
    assert first.endswith("api: it failed")
    assert rest[0] == "    | Traceback (most recent call last):"
    assert rest[-1] == r"    | ValueError: \x1b[2Jgone\r\u202eback\x9b"
    assert all(line.isprintable() for line in [first, *rest])


def test_the_text_of_an_exception_cannot_begin_an_entry() -> None:
    try:
        raise ValueError("first\n2026-11-28T00:00:00.000Z info    api: key created key=root")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())
    assert all(line.startswith("    | ") for line in _Text("api").format(record).split("\n")[1:])


def test_no_field_and_no_message_can_begin_an_entry() -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "a\nb", None, None)
    record.__dict__["reason"] = "c\nd\x85e\u2028f"
    assert len(_Text("api").format(record).splitlines()) == 1


def test_an_entry_has_the_fields_of_its_context_unless_it_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Context, "fields", _Context.fields)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "a", None, None)
    record.__dict__["task_id"] = "own"
    add_fields(lambda: {"task_id": "running", "request_id": "r-1"})
    assert _Text("worker").format(record).endswith("worker: a task_id=own request_id=r-1")
    nothing: dict[str, dict[str, object]] = {}
    add_fields(lambda: nothing["missing"])
    assert _Text("worker").format(record).endswith("worker: a task_id=own fields_missing=KeyError")


def test_a_level_that_is_set_already_touches_no_logger() -> None:
    """A forked process inherits the levels. To set one clears the caches of all loggers, and so copies their pages."""
    logger, other = logging.getLogger("dtqs.test.levels"), logging.getLogger("dtqs.test.other")
    _set_level(logger, logging.ERROR)
    assert not logger.isEnabledFor(logging.INFO)
    other.isEnabledFor(logging.INFO)
    before = dict(other._cache)  # type: ignore[attr-defined]
    _set_level(logger, logging.ERROR)
    assert before
    assert other._cache == before  # type: ignore[attr-defined]
    _set_level(logger, logging.INFO)
    assert logger.isEnabledFor(logging.INFO)
