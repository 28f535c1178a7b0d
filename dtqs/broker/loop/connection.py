"""One connection whose channels come back by themselves, on the event loop of its process: pika's own or gevent's.

Its owner uses the channel. It gets `on_channel` for each newly opened channel, and `on_lost` with the reason.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from pika.channel import Channel
from pika.connection import Connection, Parameters
from pika.exceptions import ChannelClosedByBroker

from dtqs.backoff import backoff_seconds
from dtqs.broker.topology import parameters, renew_tls
from dtqs.config import RabbitmqSection

logger = logging.getLogger(__name__)
_RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS = 0.2, 2.0
_LIVED_SECONDS = 10.0
"""After a shorter life the pauses go on growing: a broker that is ill may end each connection after its login."""
_REFUSED_SECONDS = 2.0
_REFUSAL_SECONDS = 10.0
"""How long a refusal stays visible. Each new channel meets it again, every two seconds."""
_NO_PERMISSION = 403
_AWAY_SECONDS = 10.0
"""How long a broker may be away without a warning. At the start of a node it often comes up last."""


class Loop(Protocol):
    """An event loop that opens pika connections."""

    def open(
        self,
        to: Parameters,
        opened: Callable[[Any], None],
        failed: Callable[[Any, Any], None],
        closed: Callable[[Any, Any], None],
    ) -> Connection: ...
    def later(self, seconds: float, call: Callable[[], None]) -> None: ...


class BrokerConnection:
    """Keep one connection and its channel open. All of it runs on the loop."""

    def __init__(
        self,
        loop: Loop,
        section: RabbitmqSection,
        name: str,
        on_channel: Callable[[Channel], None] = lambda _: None,
        on_lost: Callable[[BaseException], None] = lambda _: None,
        on_blocked: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop, self._section, self._name = loop, section, name
        self._hosts, self._tls_fault = parameters(section, name), ""
        self._on_channel, self._on_lost, self._on_blocked = on_channel, on_lost, on_blocked
        self._connection: Connection | None = None
        self.channel: Channel | None = None
        self._attempt, self._stopping, self._warned = 0, False, False
        self._opened_at = math.inf
        self.state, self.since = "away", time.monotonic()
        self._refusal: str | None = None
        self._refused_at = 0.0
        self._is_opening = False
        self._lanes: list[Lane] = []
        self.openings = 0
        """How often a connection was opened, so that questions on an earlier one are not waited for."""

    @property
    def refusal(self) -> str | None:
        """The broker's message if it refused a channel lately because a permission is missing, or None."""
        return self._refusal if time.monotonic() - self._refused_at < _REFUSAL_SECONDS else None

    def start(self) -> None:
        if self._stopping:
            return
        self._renew_tls()
        try:
            to = self._hosts[self._attempt % len(self._hosts)]
            self._connection = self._loop.open(to, self._opened, self._failed, self._closed)
        except Exception as error:  # pika passes on errors of the socket module, such as a failed name resolution
            self._failed(None, error)

    def _renew_tls(self) -> None:
        """Read certificates that were renewed. With files that cannot be used at the moment, the earlier ones stay."""
        fault = ""
        try:
            renew_tls(self._hosts, self._section)
        except ValueError as error:
            fault = str(error)
        if fault and fault != self._tls_fault:
            logger.warning("renewed files of TLS cannot be used", extra={"connection": self._name, "reason": fault})
        self._tls_fault = fault

    def stop(self) -> None:
        self._stopping = True
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    @property
    def closed(self) -> bool:
        return self._connection is None or self._connection.is_closed

    def add_lane(self, on_channel: Callable[[Channel], None], on_lost: Callable[[BaseException], None]) -> None:
        """Keep a further channel open, from the next connection on."""
        self._lanes.append(Lane(self, on_channel, on_lost))

    def open_channel(self, opened: Callable[[Channel], None]) -> None:
        """Open a channel on a living connection: at first, or after the broker closed the last one."""
        if self._connection is not None and self._connection.is_open and not self._stopping:
            self._connection.channel(on_open_callback=opened)

    def reopen_channel(self) -> None:
        """Open a new channel, beside one that is given up or after the broker closed it. One is opened at a time."""
        if not self._is_opening and self._connection is not None and self._connection.is_open:
            self._is_opening = True
            self.open_channel(self._channel_open)

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state, self.since = state, time.monotonic()
            logger.info("broker connection", extra={"connection": self._name, "state": state})

    def _opened(self, connection: Connection) -> None:
        self._connection, self._opened_at = connection, time.monotonic()
        self.openings += 1
        connection.add_on_connection_blocked_callback(lambda *_: self._blocked())
        connection.add_on_connection_unblocked_callback(lambda *_: self._enter("connected"))
        if self._stopping:
            connection.close()
        else:
            self._is_opening = True
            connection.channel(on_open_callback=self._channel_open)
            for lane in self._lanes:
                lane.open()

    def _blocked(self) -> None:
        """Note an alarm: the broker confirms nothing before its end."""
        self._enter("blocked")
        self._on_blocked()

    def _channel_open(self, channel: Channel) -> None:
        self._warned, self._is_opening, self.channel = False, False, channel
        channel.add_on_close_callback(self._channel_closed)
        if self.state == "away":
            self._enter("connected")
        self._on_channel(channel)

    def _channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if channel is not self.channel:
            return
        self.channel = None
        self.note_refusal(reason)
        self._on_lost(reason)
        self.reopen_after(reason, self._replace_channel)

    def _replace_channel(self) -> None:
        """Open a channel in the place of one that the broker closed, which a failed passive declare makes it do."""
        if self.channel is None:  # otherwise the one that was being opened then has come
            self.reopen_channel()

    def note_refusal(self, reason: BaseException) -> None:
        """Note whether a channel closed because a permission is missing."""
        if isinstance(reason, ChannelClosedByBroker) and reason.reply_code == _NO_PERMISSION:
            self._refusal, self._refused_at = reason.reply_text, time.monotonic()

    def reopen_after(self, reason: BaseException, reopen: Callable[[], None]) -> None:
        """Open a channel again after the broker closed it, if the connection lives."""
        connection = self._connection

        def again() -> None:
            if connection is self._connection:  # a new connection has opened its channels already
                reopen()

        if connection is not None and connection.is_open and not self._stopping:
            refused = isinstance(reason, ChannelClosedByBroker) and not is_missing(reason)
            logger.log(
                logging.WARNING if refused else logging.DEBUG,
                "broker channel closed",
                extra={"connection": self._name, "reason": str(reason)},
            )
            # The broker will refuse a queue of another kind or a missing permission again, so this must not spin.
            self._loop.later(_REFUSED_SECONDS if refused else 0.05, again)

    def _failed(self, _: object, error: BaseException) -> None:
        reason = str(error) or type(error).__name__
        if not self._warned and time.monotonic() - self.since >= _AWAY_SECONDS:
            self._warned = True
            logger.warning("broker cannot be reached", extra={"connection": self._name, "reason": reason})
        else:
            logger.debug("broker not reached", extra={"connection": self._name, "reason": reason})
        self._again()

    def _closed(self, _: object, reason: BaseException) -> None:
        if self.channel is not None:
            self.channel = None
            self._on_lost(reason)
        for lane in self._lanes:
            lane.lost(reason)
        if not self._stopping:
            logger.warning("broker connection lost", extra={"connection": self._name, "reason": str(reason)})
            self._again()

    def _again(self) -> None:
        self._enter("away")
        has_lived, self._opened_at = time.monotonic() - self._opened_at >= _LIVED_SECONDS, math.inf
        self._attempt = 1 if has_lived else self._attempt + 1
        if not self._stopping:
            # the pauses grow from round to round; within a round the next host may be well
            rounds, within = divmod(self._attempt, len(self._hosts))
            pause = 0.0 if within else backoff_seconds(rounds, _RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS)
            self._loop.later(0.05 + pause, self.start)


class Lane:
    """A further channel of a connection."""

    def __init__(
        self,
        connection: BrokerConnection,
        on_channel: Callable[[Channel], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._connection, self._on_channel, self._on_lost = connection, on_channel, on_lost
        self._channel: Channel | None = None

    def open(self) -> None:
        self._connection.open_channel(self._opened)

    def lost(self, reason: BaseException) -> None:
        """Note that the channel is gone. Safe to call twice."""
        if self._channel is not None:
            self._channel = None
            self._on_lost(reason)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._closed)
        self._on_channel(channel)

    def _closed(self, channel: Channel, reason: BaseException) -> None:
        if channel is not self._channel:
            return
        self._connection.note_refusal(reason)
        self.lost(reason)
        self._connection.reopen_after(reason, self.open)


def is_missing(reason: BaseException) -> bool:
    """Tell whether a channel was closed because it named something that does not exist.

    A queue that exists and does not serve has the same code: its home node is down, it has crashed, or it gave the
    broker no answer. Nobody can declare it elsewhere.
    """
    is_unknown = isinstance(reason, ChannelClosedByBroker) and reason.reply_code == 404
    return is_unknown and refusal_words(reason).startswith("no ")


def refusal_words(reason: BaseException) -> str:
    """Return the broker's words without the name of their code."""
    text = str(reason.reply_text) if isinstance(reason, ChannelClosedByBroker) else str(reason)
    return text.removeprefix("NOT_FOUND - ")
