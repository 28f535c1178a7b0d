"""Bounds of the examination in the API's own loop: no costly payload, and pauses between the tasks of an array."""

import time

import gevent

from dtqs.api.http.strict import TooDear

SLICE_SECONDS = 0.002
"""The tasks of an array let other requests run after this time."""
PAYLOAD_CHARACTERS = 12 << 10
MEMBERS, OBJECTS, ADDRESSES_BEYOND_ASCII = 200, 24, 3
"""The costliest known payloads within these limits take 3 to 5 ms. An address takes 20 µs, one of 30 labels beyond
ASCII 1.2 ms, a video output 60 to 160 µs, a wrong field 2 µs. 1,000 characters of an address or SMS take 0.2 ms."""
SLOW_BYTES = 12 << 10
"""A longer body is not read a second time in the loop, which would cost 0.3 ms for each 1,000 bytes."""
_CERTAIN_CHARACTERS = 100


class LoopBound:
    """The examination of one body in the loop."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_SECONDS

    def look_at(self, payload: str) -> None:
        """Raise TooDear for a payload that belongs in the process beside the API."""
        if is_dear(payload):
            raise TooDear

    def pause(self) -> None:
        """Let other requests run, if it is time."""
        if time.perf_counter() >= self._until:
            gevent.sleep(0)
            self._until = time.perf_counter() + SLICE_SECONDS


def is_dear(payload: str) -> bool:
    """Tell from its JSON text whether a payload may take longer than 5 ms to examine."""
    if len(payload) <= _CERTAIN_CHARACTERS:
        return False
    if len(payload) > PAYLOAD_CHARACTERS or payload.count(",") > MEMBERS or payload.count("{") > OBJECTS:
        return True
    return not payload.isascii() and payload.count("@") > ADDRESSES_BEYOND_ASCII
