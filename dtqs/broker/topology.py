"""All names and arguments in RabbitMQ: one queue for hints, one exchange for events, one for control."""

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel

from dtqs.config import RabbitmqSection

QUEUE = "task_queue"
EVENTS = "task_events"
CONTROL = "task_control"
EVENTS_LENGTH = 10_000
"""The most messages that wait for one API process. A lost event only delays a stream."""
PERSISTENT = 2
NOBODY = "dtqs.nobody"
"""A routing key without a queue. The broker drops the message, but first reports a refusal or an alarm."""


def parameters(section: RabbitmqSection, name: str) -> pika.URLParameters:
    """Return connection parameters with a limit on each step. Raises ValueError for an invalid URL."""
    value = pika.URLParameters(section.url.get_secret_value())
    value.heartbeat = section.heartbeat_seconds
    value.socket_timeout = section.connect_timeout_seconds
    value.stack_timeout = section.connect_timeout_seconds * 2
    value.blocked_connection_timeout = None  # a blocked publisher waits; the relay publishes later what it drops
    value.connection_attempts = 1
    value.client_properties = {"connection_name": name}
    return value


def queue_arguments(section: RabbitmqSection) -> dict[str, Any]:
    if section.queue_type == "quorum":
        # A quorum queue counts returns as deliveries, and workers often return hints.
        return {"x-queue-type": "quorum", "x-delivery-limit": -1}
    return {"x-max-priority": 10}


def declare_exchanges(channel: Channel | BlockingChannel) -> None:
    channel.exchange_declare(EVENTS, "fanout", durable=True)
    channel.exchange_declare(CONTROL, "fanout", durable=True)
