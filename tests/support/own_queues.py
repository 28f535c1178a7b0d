"""The queues that processes make for themselves: which were bound, and whether one still exists."""

import pika
import pytest
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

_NOT_FOUND = 404


def note_bound(monkeypatch: pytest.MonkeyPatch, exchange: str | None = None) -> list[str]:
    """Return a list that gets the name of each queue that this process binds. `exchange`: bind to this one instead."""
    names: list[str] = []
    bind = Channel.queue_bind

    def noted(channel: Channel, queue: str, wanted: str) -> None:
        names.append(queue)
        bind(channel, queue, exchange or wanted)

    monkeypatch.setattr(Channel, "queue_bind", noted)
    return names


def queue_exists(url: str, queue: str) -> bool:
    """Tell whether a queue of another connection exists: then it is locked."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        with pytest.raises(ChannelClosedByBroker) as closed:
            connection.channel().queue_declare(queue, passive=True)
        return bool(closed.value.reply_code != _NOT_FOUND)


def break_channel(channel: Channel | None) -> None:
    """Let the broker close a channel, for the ack of an unknown delivery."""
    assert channel is not None
    channel.basic_ack(4711)
