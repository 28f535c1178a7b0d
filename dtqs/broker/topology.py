"""Every name and argument in RabbitMQ: one queue for hints, one exchange for events, one for control."""

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel

from dtqs.config import RabbitmqSection

QUEUE = "task_queue"
EVENTS = "task_events"
CONTROL = "task_control"
EVENTS_LENGTH = 10_000
"""Most messages that wait for one API process: a lost event only delays."""
PERSISTENT = 2
NOBODY = "dtqs.nobody"
"""A routing key that no queue has: the broker drops the message, but says first if it refuses it, or takes none."""


def parameters(section: RabbitmqSection, name: str) -> pika.URLParameters:
    """Connection parameters with a limit on every step. Raises ValueError for a URL that is none."""
    value = pika.URLParameters(section.url.get_secret_value())
    value.heartbeat = section.heartbeat_seconds
    value.socket_timeout = section.connect_timeout_seconds
    value.stack_timeout = section.connect_timeout_seconds * 2
    value.blocked_connection_timeout = (
        None  # a blocked publisher waits; what it has no room for, the relay publishes later
    )
    value.connection_attempts = 1
    value.client_properties = {"connection_name": name}
    return value


def queue_arguments(section: RabbitmqSection) -> dict[str, Any]:
    if section.queue_type == "quorum":
        # returns count as deliveries there, and a worker returns hints as a matter of course
        return {"x-queue-type": "quorum", "x-delivery-limit": -1}
    return {"x-max-priority": 10}


def declare_exchanges(channel: Channel | BlockingChannel) -> None:
    channel.exchange_declare(EVENTS, "fanout", durable=True)
    channel.exchange_declare(CONTROL, "fanout", durable=True)
