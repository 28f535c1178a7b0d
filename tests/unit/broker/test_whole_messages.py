"""Deliveries read as a whole reach their consumers as they do in pika's own way, however the bytes are cut."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from pika import BasicProperties, spec
from pika.adapters.select_connection import SelectConnection
from pika.callback import CallbackManager
from pika.channel import Channel
from pika.exceptions import InvalidFrameError
from pika.frame import Body, Header, Heartbeat, Method, decode_frame

from dtqs.broker.loop.delivery import delivery_at
from dtqs.broker.loop.pika_parts import WholeMessages

FRAME_BYTES = 100
"""Larger bodies have several frames here."""
Call = tuple[Any, ...]


def message(tag: str, number: int, body: bytes, channel: int = 1, redelivered: bool = False) -> bytes:
    """Return a delivery as the broker sends it."""
    return content(spec.Basic.Deliver(tag, number, redelivered, "events", "some.key"), body, channel)


def content(method: Any, body: bytes, channel: int = 1) -> bytes:
    properties = BasicProperties(content_type="text/plain", delivery_mode=2, priority=5, headers={"a": 1})
    frames = [Method(channel, method), Header(channel, len(body), properties)]
    frames += [Body(channel, body[start : start + FRAME_BYTES]) for start in range(0, len(body), FRAME_BYTES)]
    return b"".join(frame.marshal() for frame in frames)


STREAM = b"".join(
    (
        message("one", 1, b"first"),
        message("one", 2, b""),
        Heartbeat().marshal(),
        message("two", 3, b"second channel", channel=2),
        Method(1, spec.Basic.Ack(7, True)).marshal(),
        message("one", 4, b"x" * FRAME_BYTES, redelivered=True),
        message("one", 5, b"y" * (3 * FRAME_BYTES + 1)),
        message("gone", 6, b"its consumer is cancelled"),
        message("nobody", 7, b"no consumer has this tag"),
        content(spec.Basic.Return(312, "NO_ROUTE", "", "missing"), b"returned"),
        message("ä" * 20, 8, b"\xce\x01\x00\xce"),
        message("one", 9, b"last"),
    )
)


class Socketless:
    """Lets a connection take data without a network, and notes the calls."""

    def prepare(self, calls: list[Call]) -> None:
        connection = cast(Any, self)
        connection.callbacks, connection._frame_buffer = CallbackManager(), b""
        connection.bytes_received = connection.frames_received = 0
        connection._heartbeat_checker = None
        connection._channels = {}
        for number, tags in ((1, ("one", "ä" * 20, "gone")), (2, ("two",))):
            channel = connection._channels[number] = Channel(connection, number, lambda _: None)
            for tag in tags:
                channel._consumers[tag] = consumer(calls)
                channel._consumers_with_noack.add(tag)
            channel._cancelled.add("gone")
            connection.callbacks.add(str(number), spec.Basic.Ack, ack(calls), one_shot=False)
            connection.callbacks.add(str(number), "_on_return", returned(calls), one_shot=False)


def consumer(calls: list[Call]) -> Callable[..., None]:
    def call(channel: Channel, method: spec.Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        fields = (method.consumer_tag, method.delivery_tag, method.redelivered, method.exchange, method.routing_key)
        calls.append((channel.channel_number, fields, body))

    return call


def ack(calls: list[Call]) -> Callable[..., None]:
    return lambda frame: calls.append(("ack", frame.method.delivery_tag, frame.method.multiple))


def returned(calls: list[Call]) -> Callable[..., None]:
    return lambda _channel, method, _properties, body: calls.append((method.reply_text, body))


class Theirs(Socketless, SelectConnection):  # type: ignore[misc]
    def __init__(self) -> None:
        """Open nothing."""


class Ours(Socketless, WholeMessages, SelectConnection):  # type: ignore[misc]
    def __init__(self) -> None:
        """Open nothing."""


def fed(kind: type[Any], stream: bytes, piece_bytes: int) -> tuple[list[Call], int, int]:
    """Return the calls, and the numbers of received bytes and frames."""
    calls: list[Call] = []
    connection = kind()
    connection.prepare(calls)
    for start in range(0, len(stream), piece_bytes):
        connection._on_data_available(stream[start : start + piece_bytes])
    assert connection._frame_buffer == b""
    return calls, connection.bytes_received, connection.frames_received


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 19, 64, 100, 333, len(STREAM)])
def test_the_same_calls_come_as_in_pikas_own_way(piece_bytes: int) -> None:
    ours = fed(Ours, STREAM, piece_bytes)
    assert ours == fed(Theirs, STREAM, piece_bytes)
    assert len(ours[0]) == 9


def test_a_delivery_is_read_only_when_it_is_whole() -> None:
    data = b"junk" + message("one", 1, b"body", redelivered=True)
    found = delivery_at(data + b"more", 4)
    assert found is not None
    assert (found.end, found.channel, found.consumer_tag, found.delivery_tag) == (len(data), 1, "one", 1)
    assert (found.redelivered, found.exchange, found.routing_key, found.body) == (True, "events", "some.key", b"body")
    for end in range(len(data)):
        assert delivery_at(data[:end], 4) is None


def test_wrong_bytes_are_left_to_pika() -> None:
    whole = message("one", 1, b"body")
    places = [place for place in range(len(whole)) if whole[place] == 0xCE]
    assert len(places) == 3
    for place in places:
        damaged = whole[:place] + b"\x00" + whole[place + 1 :]
        assert delivery_at(damaged, 0) is None
        with pytest.raises(InvalidFrameError):
            fed(Ours, damaged, len(damaged))


def test_frames_of_two_channels_between_each_other_are_left_to_pika() -> None:
    one, two = message("one", 1, b"body"), message("two", 2, b"body", channel=2)
    (first, _), (second, _) = decode_frame(one), decode_frame(two)
    mixed = one[:first] + two[:second] + one[first:] + two[second:]
    assert delivery_at(mixed, 0) is None
    assert fed(Ours, mixed, len(mixed))[0] == fed(Theirs, mixed, len(mixed))[0]


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_a_delivery_whose_callback_fails_does_not_come_twice(kind: type[Any]) -> None:
    calls: list[Call] = []
    connection = kind()
    connection.prepare(calls)
    connection._channels[2]._consumers["two"] = fail
    with pytest.raises(KeyboardInterrupt):
        connection._on_data_available(message("two", 1, b"first", channel=2) + message("one", 2, b"second"))
    connection._on_data_available(message("one", 3, b"third"))
    assert [call[2] for call in calls] == [b"second", b"third"]


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_a_callback_may_cancel_its_consumer(kind: type[Any]) -> None:
    calls: list[Call] = []
    connection = kind()
    connection.prepare(calls)
    note = connection._channels[1]._consumers["one"]

    def cancel(channel: Channel, *rest: Any) -> None:
        note(channel, *rest)
        cast(Any, channel)._cancelled.add("one")

    connection._channels[1]._consumers["one"] = cancel
    connection._on_data_available(message("one", 1, b"first") + message("one", 2, b"second"))
    assert [call[2] for call in calls] == [b"first"]


def fail(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_rest_is_dropped_if_the_connection_was_reset_in_a_callback() -> None:
    calls: list[Call] = []
    connection = Ours()
    connection.prepare(calls)

    def end(*_: object) -> None:
        calls.append(("end",))
        connection._frame_buffer = b""  # as a reset of the connection does

    connection._channels[1]._consumers["one"] = end
    connection._on_data_available(message("one", 1, b"first") + message("one", 2, b"second"))
    assert calls == [("end",)]
