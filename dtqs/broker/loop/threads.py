"""pika's own event loop in a thread of its own, started after the fork: broker heartbeats never stop while a task runs in the main thread.

A worker's main thread also serves its loop while it waits: see shared.py.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from pika.adapters.select_connection import IOLoop
from pika.connection import Connection, Parameters

from dtqs.broker.loop.prompt import JoinedConnection, PromptServices, when_open
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")


class ThreadLoop:
    """The loop and its thread; `Line` sees it as a Loop, other threads come in by `call` and `ask`."""

    def __init__(self, name: str, ioloop: IOLoop | None = None) -> None:
        self._ioloop = ioloop or IOLoop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def stop(self, deadline: Deadline) -> None:
        if self._started:
            self._started = False
            self._ioloop.add_callback_threadsafe(self._ioloop.stop)
            self._thread.join(max(0.1, deadline.remaining))
            if not self._thread.is_alive():
                self._ioloop.close()

    def close(self) -> None:
        """Give back its sockets, after `stop`: for processes that go on without it. Nothing may be called afterwards."""
        if not self._thread.is_alive():
            self._ioloop.close()

    def _run(self) -> None:
        self._guard(self._ioloop.start)

    def _guard(self, serve: Callable[[], None]) -> None:
        try:
            serve()
        except BaseException:
            # a process that is deaf and does not know it would be worse than one that dies and is replaced
            logger.critical("the broker's loop failed: this process ends", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def open(
        self,
        to: Parameters,
        opened: Callable[[Any], None],
        failed: Callable[[Any, Any], None],
        closed: Callable[[Any, Any], None],
    ) -> Connection:
        services = PromptServices(self._ioloop)
        return JoinedConnection(to, when_open(services, opened), failed, closed, custom_ioloop=services)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._ioloop.call_later(seconds, call)

    def call(self, call: Callable[[], None]) -> None:
        """Run on the loop, soon, in the order of the calls; from any thread."""
        self._ioloop.add_callback_threadsafe(call)

    def ask(self, question: Callable[[Callable[[T], None]], None], deadline: Deadline) -> T:
        """Run on the loop and wait for its answer. Raises BrokerUnavailable when none comes in time."""
        answer: Future[T] = Future()

        def reply(value: T) -> None:
            if not answer.done():
                answer.set_result(value)

        self.call(lambda: question(reply))
        try:
            return answer.result(timeout=max(0.01, deadline.remaining))
        except TimeoutError as error:
            raise BrokerUnavailable("RabbitMQ did not answer in time") from error
