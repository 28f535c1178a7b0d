"""A process's own queue on a fanout exchange: the messages that every process of its kind gets. It runs on the loop."""

from collections.abc import Callable

from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from dtqs.broker.topology import declare_exchanges

OnMessage = Callable[[Channel, Basic.Deliver, object, bytes], None]
_EXPIRES_MS = 10_000
"""When the broker deletes a queue that got no consumer, since it refused the consumer."""


def hear(channel: Channel, exchange: str, length: int, size_bytes: int, on_message: OnMessage) -> None:
    """Declare a queue for this channel and consume it. Beyond its limits the oldest messages are dropped.

    An exclusive queue lives as long as its connection, so each new channel of the connection would leave one behind.
    This one goes with its consumer. It is consumed first and bound then, so it goes also if the broker refuses to bind.
    """
    arguments = {
        "x-max-length": length,
        "x-max-length-bytes": size_bytes,
        "x-overflow": "drop-head",
        "x-expires": _EXPIRES_MS,
    }

    def cancelled(_: Method) -> None:
        # the broker has deleted the queue; a new channel gets a new one
        if channel.is_open:
            channel.close()

    def declared(frame: Method) -> None:
        queue = frame.method.queue
        channel.basic_consume(queue, on_message, auto_ack=True)
        channel.queue_bind(queue, exchange)

    channel.add_on_cancel_callback(cancelled)
    declare_exchanges(channel)
    channel.queue_declare("", exclusive=True, auto_delete=True, arguments=arguments, callback=declared)
