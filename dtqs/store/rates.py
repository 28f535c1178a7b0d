"""Rate limits that all workers share: one row per key, and one short transaction for the turns of an attempt."""

from collections.abc import Sequence

from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.statements import array, text_array
from dtqs.turn import Turn


class RateLimits:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, turns: Sequence[Turn]) -> dict[str, float]:
        """Take one turn of each limit, or none. Returns the limits without room, with the seconds to wait for each.

        Turns whose reply was lost are lost: a limit may be stricter for a moment, and is never exceeded.
        Raises StoreUnavailable, StoreRefused.
        """
        keys = text_array([turn.key for turn in turns])
        lengths = [1.0 / turn.per_second for turn in turns]
        slacks = [(turn.burst - 1) * length for turn, length in zip(turns, lengths, strict=True)]
        parameters = {
            "keys": keys,
            "turns": array([str(length) for length in lengths]),
            "slacks": array([str(slack) for slack in slacks]),
        }

        def work(run: Run) -> list[Row]:
            run("lock_rates", {"keys": keys})
            return run("take_rates", parameters)

        return dict(self._database.transaction_once(work))
