"""The doctor's questions to RabbitMQ: is it up, do the queues exist, and may we publish? A keeper empties old queues.

Each call opens one blocking connection with a limit on every wait.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout, ConnectionClosedByBroker

from dtqs.broker.loop.connection import is_missing
from dtqs.broker.loop.pika_parts import end_after
from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import NOBODY, QUEUE, parameters, queue_arguments
from dtqs.config import RabbitmqSection
from dtqs.config.broker_url import host_urls
from dtqs.errors import BrokerUnavailable
from dtqs.event import DeadLetter, Hint, decode_hint

_HEARTBEAT_SECONDS = 3
"""A frozen broker sends no heartbeats either, so this bounds every wait."""
_CONNECT_SECONDS = 5.0
"""The most time until a connection to one host is open: the doctor has other checks to do."""
_CALLS_SECONDS = 10.0
"""The most time that the calls on one connection take. A queue whose node is down may give no answer for a minute."""
_NOT_IMPLEMENTED = 540
_PRECONDITION_FAILED = 406
"""The reply to a delete of a queue in use, and to a declare whose arguments are not those of the queue."""
_NOT_ALLOWED = 403
_FAILURES = (AMQPError, AMQPConnectorException, OSError, ValueError)
"""pika's own errors before a connection is open are not AMQPErrors."""


def look_once(section: RabbitmqSection, name: str) -> QueueLook | None:
    """Look at the task queue; return None if it is missing. Raises BrokerUnavailable."""
    return look_at_each(section, name, (QUEUE,))[QUEUE]


def look_at_each(section: RabbitmqSection, name: str, queues: Sequence[str]) -> dict[str, QueueLook | None]:
    """Look at queues on one connection; a missing one has None. Raises BrokerUnavailable."""
    with _failures(section), _connected(section, name) as connection:
        return {queue: _look(connection, queue) for queue in queues}


def other_arguments(section: RabbitmqSection, name: str, version: str, queues: Sequence[str]) -> dict[str, str]:
    """Return the broker's words for each queue whose arguments, such as its type, differ from the configured ones.

    Only a declare with the configured arguments can tell. It changes nothing in a queue that exists, and a missing
    queue is not declared. `version`: the broker's. Raises BrokerUnavailable.
    """
    arguments = queue_arguments(section, {"version": version})
    with _failures(section), _connected(section, name) as connection:
        found = {queue: _difference(connection, queue, arguments) for queue in queues}
        return {queue: words for queue, words in found.items() if words is not None}


def _difference(connection: pika.BlockingConnection, queue: str, arguments: Mapping[str, Any]) -> str | None:
    try:
        channel = connection.channel()  # a refusal closes this channel alone
        channel.queue_declare(queue, passive=True)
        channel.queue_declare(queue, durable=True, arguments=dict(arguments))
    except ChannelClosedByBroker as error:
        if error.reply_code == _PRECONDITION_FAILED:
            return str(error.reply_text).removeprefix("PRECONDITION_FAILED - ")
        if error.reply_code != _NOT_ALLOWED and not is_missing(error):
            raise
    return None


@dataclass(frozen=True, slots=True)
class Emptied:
    """The number of hints taken out of a queue; whether it is gone; whether RabbitMQ cannot delete one of its type."""

    taken: int
    gone: bool
    stays: bool = False


def empty_queue(
    section: RabbitmqSection,
    name: str,
    queue: str,
    limit: int,
    pass_on: Callable[[Sequence[Hint]], None],
    may_delete: bool = True,
) -> Emptied:
    """Take up to `limit` hints out of a queue that nobody consumes; delete the queue once it is empty and unused.

    The hints are acked after `pass_on`. A quorum queue stays, since RabbitMQ cannot delete it on these conditions.
    Raises BrokerUnavailable, and what `pass_on` raises.
    """
    with _failures(section), _connected(section, name) as connection:
        if _look(connection, queue) is None:
            return Emptied(0, gone=True)
        channel = connection.channel()
        hints: list[Hint] = []
        taken = tag = 0
        while taken < limit:
            method, _, body = channel.basic_get(queue)
            if method is None or body is None:
                break
            taken, tag = taken + 1, method.delivery_tag
            with contextlib.suppress(DeadLetter):
                hints.append(decode_hint(body))
        if taken:
            pass_on(hints)
            channel.basic_ack(tag, multiple=True)
        channel.close()  # waits until the broker has the acks
        if taken == limit or not may_delete:
            return Emptied(taken, gone=False)
        try:
            return Emptied(taken, gone=_delete(connection, queue))
        except ConnectionClosedByBroker as error:
            if error.reply_code != _NOT_IMPLEMENTED:
                raise
            return Emptied(taken, gone=False, stays=True)


def _look(connection: pika.BlockingConnection, queue: str) -> QueueLook | None:
    try:
        method = connection.channel().queue_declare(queue, passive=True).method
        return QueueLook(method.message_count, method.consumer_count)
    except ChannelClosedByBroker as error:
        if is_missing(error):
            return None
        raise


def _delete(connection: pika.BlockingConnection, queue: str) -> bool:
    """Delete a queue that is empty and unused. Raises ConnectionClosedByBroker for a quorum queue."""
    try:
        connection.channel().queue_delete(queue, if_unused=True, if_empty=True)
    except ChannelClosedByBroker as error:
        if error.reply_code != _PRECONDITION_FAILED:
            raise
        return False
    return True


@contextlib.contextmanager
def _failures(section: RabbitmqSection) -> Iterator[None]:
    """Turn the errors of pika into BrokerUnavailable."""
    try:
        yield
    except ChannelClosedByBroker as error:
        raise BrokerUnavailable(f"RabbitMQ: {error.reply_text}") from error
    except AMQPConnectorStackTimeout as error:
        raise BrokerUnavailable(f"RabbitMQ: no answer within {hosts_seconds(impatient(section)):g} s") from error
    except _FAILURES as error:
        raise BrokerUnavailable(f"RabbitMQ: {_innermost_message(error)}") from error


def write_refusal(section: RabbitmqSection, name: str) -> str | None:
    """Publish a message without a receiver; return the broker's message if it refuses. Raises BrokerUnavailable."""
    with _failures(section):
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


@contextlib.contextmanager
def _connected(section: RabbitmqSection, name: str) -> Iterator[pika.BlockingConnection]:
    hosts = parameters(impatient(section), name)
    for to in hosts:
        to.heartbeat = to.blocked_connection_timeout = _HEARTBEAT_SECONDS
    connection = pika.BlockingConnection(hosts)
    end_after(connection, _CALLS_SECONDS, AMQPError(f"no answer within {_CALLS_SECONDS:g} s"))
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def impatient(section: RabbitmqSection) -> RabbitmqSection:
    """Return the section with the doctor's limit for each host, unless its own is shorter."""
    seconds = min(_CONNECT_SECONDS, section.connect_timeout_seconds)
    return section.model_copy(update={"connect_timeout_seconds": seconds})


def hosts_seconds(section: RabbitmqSection) -> float:
    """Return the time that all hosts of the URL together may take, each in silence."""
    return section.connect_timeout_seconds * len(host_urls(section.url.get_secret_value()))


def _innermost_message(error: BaseException) -> str:
    """Return the message of the underlying error: pika wraps it in exceptions without a message."""
    below = (
        error.args[0] if error.args and isinstance(error.args[0], BaseException) else getattr(error, "exception", None)
    )
    if isinstance(below, BaseException) and below is not error:
        return _innermost_message(below)
    return " ".join(str(error).split()) or type(error).__name__
