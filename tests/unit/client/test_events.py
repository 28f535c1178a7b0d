"""The reader of Server-Sent Events, by the rules of the HTML standard."""

import pytest

from dtqs.client import ApiUnavailable, events
from dtqs.client.events import Parser, ServerSentEvent

TEXT = (
    b'\xef\xbb\xbfretry: 250\n: hello\n\nid: 1\nevent: status\ndata: {"a": 1}\n\nid: 2\ndata: x\ndata:  y\n\ndata\n\n'
    b"id: 3\nevent: gone\n\nevent: cut\ndata: never\n"
)
MESSAGES = [
    ServerSentEvent("status", '{"a": 1}', "1"),
    ServerSentEvent("message", "x\n y", "2"),
    ServerSentEvent("message", "", "2"),
]


def parsed(*chunks: bytes) -> list[ServerSentEvent]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_messages_are_read_with_every_line_ending(ending: bytes) -> None:
    assert parsed(TEXT.replace(b"\n", ending)) == MESSAGES


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_messages_are_read_in_pieces_of_any_size(ending: bytes, size: int) -> None:
    text = TEXT.replace(b"\n", ending)
    assert parsed(*(text[i : i + size] for i in range(0, len(text), size))) == MESSAGES


@pytest.mark.parametrize("text", [b"data: 1\r\n\ndata: 2\n\r\n", b"data: 1\n\r\ndata: 2\r\r\n"])
def test_mixed_line_endings_are_read_however_the_bytes_are_cut(text: bytes) -> None:
    messages = [ServerSentEvent("message", "1", ""), ServerSentEvent("message", "2", "")]
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert parsed(text[:first], text[first:second], text[second:]) == messages


def test_a_message_is_delivered_as_soon_as_its_blank_line_arrives() -> None:
    parser = Parser()
    assert list(parser.feed(b"data: 1\r\n\r")) == [ServerSentEvent("message", "1", "")]
    assert list(parser.feed(b"\ndata: 2\n\n")) == [ServerSentEvent("message", "2", "")]


def test_the_id_of_an_event_without_data_counts() -> None:
    parser = Parser()
    assert list(parser.feed(TEXT)) == MESSAGES
    assert (parser.last_event_id, parser.retry_seconds) == ("3", 0.25)


def test_an_id_counts_only_when_its_event_is_complete() -> None:
    parser = Parser("7")
    assert list(parser.feed(b"id: 8\ndata: x\n")) == []
    assert parser.last_event_id == "7"


def test_odd_fields_are_ignored() -> None:
    parser = Parser()
    long = [f"retry: {'9' * digits}" for digits in (400, 5000)]
    lines = ["id: a\0b", "retry: ２", "retry: -1", "retry: 1s", *long, "unknown: x", "", ""]
    list(parser.feed("\n".join(lines).encode()))
    assert (parser.last_event_id, parser.retry_seconds) == ("", None)


def test_an_empty_id_resets_the_position() -> None:
    assert parsed(b"id: 1\ndata: a\n\nid\ndata: b\n\n") == [
        ServerSentEvent("message", "a", "1"),
        ServerSentEvent("message", "b", ""),
    ]


def test_bytes_that_are_no_text_do_not_end_the_stream() -> None:
    assert parsed(b"data: \xff\n\n") == [ServerSentEvent("message", "\ufffd", "")]


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MESSAGE_BYTES_LIMIT", 1000)
    parser = Parser()
    for _ in range(9):
        list(parser.feed(b"data: " + b"x" * 93 + b"\n"))
    with pytest.raises(ApiUnavailable):
        list(parser.feed(b"x" * 200))


def test_many_small_events_are_not_taken_for_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MESSAGE_BYTES_LIMIT", 1000)
    assert len(parsed(*[b"data: x\n\n"] * 1000)) == 1000
