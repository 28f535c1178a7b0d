"""The bound of what is examined in the API's own loop: no payload that takes long, and others run between tasks."""

import time

import gevent

from dtqs.api.http.strict import TooDear

SLICE_SECONDS = 0.002
"""After so long the tasks of an array let others run."""
PAYLOAD_CHARACTERS = 12 << 10
MEMBERS, OBJECTS, ADDRESSES_BEYOND_ASCII = 200, 24, 3
"""The dearest known payloads within these cost 3 to 5 ms: an address 20 µs, one of 30 labels beyond ASCII 1.2 ms, an
output of a video 60 to 160 µs, a wrong field 2 µs, and each 1,000 characters of an address or a text message 0.2 ms."""
SLOW_BYTES = 12 << 10
"""A longer body is not read again in the loop: that costs 0.3 ms for each 1,000 bytes."""
_CERTAIN_CHARACTERS = 100


class LoopBound:
    """One body's examination in the loop."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_SECONDS

    def look_at(self, payload: str) -> None:
        """Raises TooDear for a payload that belongs in the process beside the API."""
        if is_dear(payload):
            raise TooDear

    def pause(self) -> None:
        """Let others run, if it is time."""
        if time.perf_counter() >= self._until:
            gevent.sleep(0)
            self._until = time.perf_counter() + SLICE_SECONDS


def is_dear(payload: str) -> bool:
    """Tell by the JSON text whether its examination may take longer than 5 ms."""
    if len(payload) <= _CERTAIN_CHARACTERS:
        return False
    if len(payload) > PAYLOAD_CHARACTERS or payload.count(",") > MEMBERS or payload.count("{") > OBJECTS:
        return True
    return not payload.isascii() and payload.count("@") > ADDRESSES_BEYOND_ASCII
