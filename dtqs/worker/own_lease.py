"""Until when nobody takes this worker's leases, by the clock of this host. Then its attempt must have ended.

A keeper takes them a lease time after the last heartbeat that it saw. So they last at least a lease time from the
request of a confirmed heartbeat. The keeper of this node may write it: then it notes the time in the slot.
"""

import math

from dtqs.scoreboard import Slot

_MARGIN_SHARE = 1 / 6
_MOST_MARGIN_SECONDS = 5.0
"""An interrupted attempt gets this time to end and to kill its processes."""


class OwnLease:
    """Callable from any thread: a float is read and written at once, and the slot has the times themselves."""

    def __init__(self, slot: Slot, lease_seconds: float) -> None:
        self._slot, self._seconds = slot, lease_seconds
        self._margin = min(lease_seconds * _MARGIN_SHARE, _MOST_MARGIN_SECONDS)
        self.look_at = math.inf
        """Before this time `is_ending` is false. A cheap first check."""

    def confirmed(self, began: float) -> None:
        """Note that a heartbeat was confirmed whose request began at this time (monotonic)."""
        self._slot.hold_until(began + self._seconds)
        self.look_at = began + self._seconds - self._margin

    def is_ending(self, now: float) -> bool:
        """Tell whether the attempt must end now, and no new one may begin."""
        if now < self.look_at:
            return False
        self.look_at = self._slot.held_until() - self._margin
        return now >= self.look_at

    def has_ended(self, now: float) -> bool:
        """Tell whether others may hold its tasks now."""
        return self.is_ending(now) and now >= self._slot.held_until()
