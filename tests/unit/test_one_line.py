"""Text of other servers, as results, logs and errors hold it."""

import pytest

from dtqs.json_value import json_text
from dtqs.one_line import one_line
from dtqs.processors.email import answers


@pytest.mark.parametrize(
    ("text", "line"),
    [("queued \0as 7", "queued as 7"), ("a\x1b[31mb\r\nc\u2028d", "a [31mb c d"), ("\ud800x", "x"), ("Grüße", "Grüße")],
)
def test_it_is_one_printable_line_that_can_be_stored(text: str, line: str) -> None:
    assert one_line(text, 100) == answers.text(text) == line
    assert json_text("the result", line)


def test_it_has_a_limit_and_an_smtp_answer_may_be_bytes() -> None:
    assert one_line("a" * 11, 10) == "a" * 10
    assert answers.text(b"queued \0as \xff") == "queued as \N{REPLACEMENT CHARACTER}"
