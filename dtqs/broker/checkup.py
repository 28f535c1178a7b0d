"""What the doctor asks of RabbitMQ: is it there, and is the task queue? One blocking connection with a limit on every wait."""

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout

from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import NOBODY, QUEUE, parameters
from dtqs.config import RabbitmqSection
from dtqs.errors import BrokerUnavailable

_HEARTBEAT_SECONDS = 3
"""A broker that is frozen in the middle answers no heartbeat either: so this bounds every wait."""
_CONNECT_SECONDS = 5.0
"""Of the whole way to an open connection: whoever looks once has others to look at."""
_NOT_FOUND = 404


def look_once(section: RabbitmqSection, name: str) -> QueueLook | None:
    """Return what a passive declare says of the task queue, None where it is missing. Raises BrokerUnavailable."""
    try:
        to = parameters(section, name)
        to.heartbeat = _HEARTBEAT_SECONDS
        to.socket_timeout = to.stack_timeout = min(_CONNECT_SECONDS, section.connect_timeout_seconds)
        connection = pika.BlockingConnection(to)
        try:
            method = connection.channel().queue_declare(QUEUE, passive=True).method
            return QueueLook(method.message_count, method.consumer_count)
        finally:
            if connection.is_open:
                connection.close()
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            return None
        raise BrokerUnavailable(f"RabbitMQ: {error.reply_text}") from error
    except AMQPConnectorStackTimeout as error:
        raise BrokerUnavailable(
            f"RabbitMQ: no answer within {min(_CONNECT_SECONDS, section.connect_timeout_seconds):g} s"
        ) from error
    # pika's own words for what goes wrong before a connection is open are no AMQPError
    except (AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        raise BrokerUnavailable(f"RabbitMQ: {_words(error)}") from error


def write_refusal(section: RabbitmqSection, name: str) -> str | None:
    """Publish a message that nobody gets, and return the broker's words where it refuses it. Raises BrokerUnavailable."""
    try:
        to = parameters(section, name)
        to.heartbeat = _HEARTBEAT_SECONDS
        to.socket_timeout = to.stack_timeout = min(_CONNECT_SECONDS, section.connect_timeout_seconds)
        to.blocked_connection_timeout = _HEARTBEAT_SECONDS
        connection = pika.BlockingConnection(to)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", NOBODY, b"")
            return None
        finally:
            if connection.is_open:
                connection.close()
    except ConnectionBlockedTimeout:
        return "it takes no messages: its alarm of memory or disk"
    except ChannelClosedByBroker as error:
        return str(error.reply_text)
    except (AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        raise BrokerUnavailable(f"RabbitMQ: {_words(error)}") from error


def _words(error: BaseException) -> str:
    """Find the words of what lies below: pika wraps it in exceptions that have none."""
    below = (
        error.args[0] if error.args and isinstance(error.args[0], BaseException) else getattr(error, "exception", None)
    )
    if isinstance(below, BaseException) and below is not error:
        return _words(below)
    return " ".join(str(error).split()) or type(error).__name__
