"""The doctor's questions to RabbitMQ: is it up, does the task queue exist, and may we publish? Each opens one blocking
connection with a limit on every wait.
"""

import contextlib
from collections.abc import Iterator

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout

from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import NOBODY, QUEUE, parameters
from dtqs.config import RabbitmqSection
from dtqs.errors import BrokerUnavailable

_HEARTBEAT_SECONDS = 3
"""A frozen broker sends no heartbeats either, so this bounds every wait."""
_CONNECT_SECONDS = 5.0
"""The most time until a connection is open: the doctor has other checks to do."""
_NOT_FOUND = 404
_FAILURES = (AMQPError, AMQPConnectorException, OSError, ValueError)
"""pika's own errors before a connection is open are not AMQPErrors."""


def look_once(section: RabbitmqSection, name: str) -> QueueLook | None:
    """Look at the task queue; return None if it is missing. Raises BrokerUnavailable."""
    try:
        with _connected(section, name) as connection:
            method = connection.channel().queue_declare(QUEUE, passive=True).method
            return QueueLook(method.message_count, method.consumer_count)
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            return None
        raise BrokerUnavailable(f"RabbitMQ: {error.reply_text}") from error
    except AMQPConnectorStackTimeout as error:
        raise BrokerUnavailable(f"RabbitMQ: no answer within {_connect_seconds(section):g} s") from error
    except _FAILURES as error:
        raise BrokerUnavailable(f"RabbitMQ: {_innermost_message(error)}") from error


def write_refusal(section: RabbitmqSection, name: str) -> str | None:
    """Publish a message without a receiver; return the broker's message if it refuses. Raises BrokerUnavailable."""
    try:
        with _connected(section, name) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", NOBODY, b"")
            return None
    except ConnectionBlockedTimeout:
        return "it takes no messages: its alarm of memory or disk"
    except ChannelClosedByBroker as error:
        return str(error.reply_text)
    except _FAILURES as error:
        raise BrokerUnavailable(f"RabbitMQ: {_innermost_message(error)}") from error


@contextlib.contextmanager
def _connected(section: RabbitmqSection, name: str) -> Iterator[pika.BlockingConnection]:
    to = parameters(section, name)
    to.heartbeat = to.blocked_connection_timeout = _HEARTBEAT_SECONDS
    to.socket_timeout = to.stack_timeout = _connect_seconds(section)
    connection = pika.BlockingConnection(to)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def _connect_seconds(section: RabbitmqSection) -> float:
    return min(_CONNECT_SECONDS, section.connect_timeout_seconds)


def _innermost_message(error: BaseException) -> str:
    """Return the message of the underlying error: pika wraps it in exceptions without a message."""
    below = (
        error.args[0] if error.args and isinstance(error.args[0], BaseException) else getattr(error, "exception", None)
    )
    if isinstance(below, BaseException) and below is not error:
        return _innermost_message(below)
    return " ".join(str(error).split()) or type(error).__name__
