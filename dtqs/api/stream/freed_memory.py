"""The memory of closed streams: Python and the C library would keep it for the next ones."""

from collections.abc import Callable

from dtqs.memory import give_back

_MANY = 200
"""A stream takes 17 KB, so fewer than these are not worth the milliseconds."""
_AGAIN_TURNS = 10
"""The last streams may close during the first time, and each keeps a piece of 1 MB."""


class FreedMemory:
    """Gives memory back when three quarters of many streams have closed, and once more after some turns.

    Few streams are left then, so it takes little time.
    """

    def __init__(self, give_back: Callable[[], None] = give_back) -> None:
        self._give_back, self._most, self._turns = give_back, 0, 0

    def turn(self, streams: int) -> None:
        """Compare the number of open streams with the largest one since the last time."""
        self._most = max(self._most, streams)
        self._turns = max(0, self._turns - 1)
        if self._most - streams >= _MANY and streams <= self._most // 4:
            self._most, self._turns = streams, _AGAIN_TURNS
            self._give_back()
        elif self._turns == 1:
            self._give_back()
