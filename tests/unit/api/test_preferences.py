"""Accept and Prefer of a submit: who wants a stream, and for how long a client waits."""

import pytest

from dtqs.api.stream.preferences import prefers_stream, wait_seconds


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream", True),
        ("text/event-stream, application/json;q=0.5", True),
        ("text/event-stream, */*;q=0.1", True),
        ("application/json, text/event-stream", False),
        ("text/event-stream;q=0.4, application/json", False),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("text/*", False),
        ("text/event-stream;q=x", False),
        ("", False),
    ],
)
def test_a_stream_is_answered_only_if_it_is_named_and_preferred(accept: str, is_stream: bool) -> None:
    assert prefers_stream(accept) is is_stream


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=10", 10),
        ('WAIT = "7" ; x=y', 7),
        ("respond-async, wait=10", 10),
        ("wait=3,wait=9", 3),
        ('foo="a, wait=5", wait=2', 2),
        ('foo="a, wait=5"', 0),
        ("wait=0", 0),
        ("wait=", 0),
        ("wait", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=" + "9" * 40, 0),
        ("waiting=4", 0),
        ('wait="4', 0),
        ("x" * 10_000 + ", wait=4", 0),
    ],
)
def test_the_first_valid_wait_counts_and_all_others_are_ignored(prefer: str, seconds: int) -> None:
    assert wait_seconds(prefer) == seconds
