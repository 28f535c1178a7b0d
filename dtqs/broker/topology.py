"""All names and arguments in RabbitMQ: queues for hints (dtqs.routes names them), one exchange for events, and one for
control.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel

from dtqs.config import RabbitmqSection
from dtqs.config.broker_url import host_urls, names_files, tls
from dtqs.errors import ConfigError
from dtqs.routes import QUEUE as QUEUE

EVENTS = "task_events"
CONTROL = "task_control"
EVENTS_LENGTH, EVENTS_BYTES = 10_000, 64 << 20
"""The most messages that wait for one API process, and the most of their bytes. A lost event only delays a stream."""
CONTROL_LENGTH, CONTROL_BYTES = 1_000, 4 << 20
"""The most cancels that wait for one worker. A heartbeat finds a cancel whose message is lost."""
PERSISTENT = 2
_NODES_OF_A_QUORUM = 3
_VALUES = {
    "channel_max": "a whole number from 1 to 65535",
    "client_properties": "a Python dictionary",
    "frame_max": "a whole number from 4096 to 131072",
    "ssl_options": "a Python dictionary that names readable files: {'cafile': '/etc/dtqs/ca.pem'}",
    "tcp_options": "a Python dictionary of numbers: {'TCP_KEEPIDLE': 60}",
}
"""Parameters whose values pika checks, and the values that it takes."""
NOBODY = "dtqs.nobody"
"""A routing key without a queue. The broker drops the message, but first reports a refusal or an alarm."""


def parameters(section: RabbitmqSection, name: str) -> list[pika.URLParameters]:
    """Return connection parameters for each host, in random order, with a limit on each step. Raises ConfigError."""
    url = section.url.get_secret_value()
    if problem := url_problem(url):
        raise ConfigError([f"[rabbitmq] url: {problem}"])
    context = tls(url)
    found = [pika.URLParameters(each) for each in host_urls(url)]
    for value in found:
        if context is not None:
            value.ssl_options = pika.SSLOptions(context)
        value.heartbeat = section.heartbeat_seconds
        # the second limit covers TCP, TLS and login together: a frozen broker still accepts TCP
        value.socket_timeout = value.stack_timeout = section.connect_timeout_seconds
        value.blocked_connection_timeout = None  # a blocked publisher waits; the relay publishes later what it drops
        value.connection_attempts = 1
        value.client_properties = {"connection_name": name}
    random.shuffle(found)
    return found


def renew_tls(hosts: Sequence[pika.URLParameters], section: RabbitmqSection) -> None:
    """Read the files of TLS again: certificates may have been renewed. Raises ValueError, and changes nothing then."""
    url = section.url.get_secret_value()
    context = tls(url) if names_files(url) else None
    for value in hosts if context is not None else ():
        value.ssl_options = pika.SSLOptions(context)


def url_problem(url: str) -> str | None:
    """Return why pika refuses the query of a valid URL, or None. A value may hold a password, so none is shown."""
    refused = next((each for each in host_urls(url) if not _is_accepted(each)), None)
    if refused is None:
        return None
    parts = urlsplit(refused)
    for name, value in parse_qsl(parts.query):
        if not _is_accepted(parts._replace(query=urlencode({name: value})).geturl()):
            return f"parameter {name} has a wrong value; allowed: {_VALUES.get(name, 'text')}"
    return "a parameter is given twice; allowed: once"


def _is_accepted(url: str) -> bool:
    try:
        options = pika.URLParameters(url).tcp_options or {}
    except Exception:  # pika evaluates some values as Python, and lets any error out
        return False
    return all(isinstance(name, str) and isinstance(value, int) for name, value in options.items())


def queue_arguments(section: RabbitmqSection, server_properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of the task queue for a broker with these properties."""
    if not is_quorum(section, server_properties):
        return {"x-max-priority": 10}
    # Workers often return hints, and a quorum queue counts that. From 4.0 on it drops a message after 20 returns, and
    # -1 forbids that. Before 4.0 it has no limit, and -1 would drop a message at its first return.
    limit = {"x-delivery-limit": -1} if _major_version(server_properties or {}) >= 4 else {}
    return {"x-queue-type": "quorum", **limit}


def is_quorum(section: RabbitmqSection, server_properties: Mapping[str, Any] | None) -> bool:
    """Tell whether DTQS makes quorum queues. AMQP does not tell of a cluster, so `auto` looks at the hosts in the URL.

    A quorum queue needs three nodes to go on without one, and has no priorities before 4.0.
    """
    if section.queue_type == "auto":
        return (
            _major_version(server_properties or {}) >= 4
            and len(host_urls(section.url.get_secret_value())) >= _NODES_OF_A_QUORUM
        )
    return section.queue_type == "quorum"


def _major_version(server_properties: Mapping[str, Any]) -> int:
    """Return the broker's major version; 0 if it is unknown."""
    version = server_properties.get("version", "")
    text = version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)
    major = text.partition(".")[0]
    return int(major) if major.isascii() and major.isdecimal() and len(major) < 5 else 0


def declare_exchanges(channel: Channel | BlockingChannel) -> None:
    channel.exchange_declare(EVENTS, "fanout", durable=True)
    channel.exchange_declare(CONTROL, "fanout", durable=True)
