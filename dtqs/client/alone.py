"""Submits of asyncio with an idempotency key of their own: each is a request of its own, in one of a few threads."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

THREADS = 16
"""The loop's own threads are for others."""


class Alone:
    """Sends the submits by `post`. `late` makes the error of one that has no time left."""

    def __init__(self, post: Callable[[bytes, str], Any], late: Callable[[], Exception]) -> None:
        self._post, self._late = post, late
        self._pool = ThreadPoolExecutor(THREADS, "dtqs submit")
        self._sent: set[Future[Any]] = set()
        self._is_over = False

    def send(self, text: bytes, idempotency_key: str, until: float) -> "asyncio.Future[Any]":
        """Begin a submit. Raises RuntimeError after `close`."""
        sent = self._pool.submit(self._in_time, text, idempotency_key, until)
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)
        return asyncio.wrap_future(sent)

    def close(self, until: float) -> None:
        """Let the submits end until a time. Those that have not begun then get the error about the time."""
        wait(list(self._sent), max(0.0, until - time.monotonic()))
        self._is_over = True
        self._pool.shutdown(wait=False)

    def _in_time(self, text: bytes, idempotency_key: str, until: float) -> Any:
        if self._is_over or time.monotonic() >= until:
            raise self._late()
        return self._post(text, idempotency_key)
