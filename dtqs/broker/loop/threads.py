"""pika's event loop in a thread, started after the fork: broker heartbeats go on while a task runs in the main thread.

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

from dtqs.broker.loop.pika_parts import open_connection
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable
from dtqs.repeated_fault import RepeatedFaults
from dtqs.scoreboard import BROKER_FAULT

logger = logging.getLogger(__name__)
T = TypeVar("T")


class ThreadLoop:
    """The loop and its thread. A BrokerConnection uses it as its Loop; other threads use `call` and `ask`."""

    def __init__(self, name: str, ioloop: IOLoop | None = None) -> None:
        self._ioloop = ioloop or IOLoop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started, self._faults = False, RepeatedFaults(logger)

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
        """Close its sockets, after `stop`, in a process that goes on without it. Call nothing afterwards."""
        if not self._thread.is_alive():
            self._ioloop.close()

    def _run(self) -> None:
        self._guard(self._ioloop.start)

    def _guard(self, serve: Callable[[], None]) -> None:
        try:
            serve()
        except BaseException as error:
            # A process that no longer hears the broker would do harm unnoticed. One that ends is replaced.
            try:
                logger.critical("the broker's loop failed: this process ends", exc_info=True)
            finally:
                # without memory the line fails as well, and the running task is the likely cause
                os._exit(os.EX_SOFTWARE if isinstance(error, MemoryError) else BROKER_FAULT)

    def open(
        self,
        to: Parameters,
        opened: Callable[[Any], None],
        failed: Callable[[Any, Any], None],
        closed: Callable[[Any, Any], None],
    ) -> Connection:
        return open_connection(self._ioloop, to, opened, failed, closed)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._ioloop.call_later(seconds, call)

    def call(self, call: Callable[[], None]) -> None:
        """Run on the loop, soon, in the order of the calls. From any thread."""
        self._ioloop.add_callback_threadsafe(call)

    def ask(self, question: Callable[[Callable[[T], None]], None], deadline: Deadline) -> T:
        """Run on the loop and wait for the answer. Raises BrokerUnavailable at the deadline, or at a fault in it."""
        answer: Future[T] = Future()

        def reply(value: T) -> None:
            if not answer.done():
                answer.set_result(value)

        def asked() -> None:
            try:
                question(reply)
            except MemoryError:  # nothing works from now on
                raise
            except Exception as error:  # the loop serves others, and the fault may be one of this question
                self._faults.tell("a question to RabbitMQ failed", error)
                if not answer.done():
                    answer.set_exception(BrokerUnavailable(f"RabbitMQ was not asked: {type(error).__name__}: {error}"))

        self.call(asked)
        try:
            return answer.result(timeout=max(0.01, deadline.remaining))
        except TimeoutError as error:
            raise BrokerUnavailable("RabbitMQ did not answer in time") from error
