"""Rate limits that all workers share: one row per key, and one short transaction for the turns of an attempt."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dtqs.store.driver.connection import Row
from dtqs.store.driver.database import Database, Run
from dtqs.store.driver.statements import array, text_array
from dtqs.turn import Turn


@dataclass(frozen=True, slots=True)
class TurnAnswer:
    """The turns are taken and begin in `seconds`, at most half a second; or some limits are `refused`.

    `refused` has the limits without room, with the seconds until the next try.
    """

    seconds: float = 0.0
    refused: dict[str, float] = field(default_factory=dict)


class RateLimits:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, turns: Sequence[Turn]) -> TurnAnswer:
        """Take one turn of each limit, or none.

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

        rows = self._database.transaction_once(work)
        if any(has_room for _, has_room, _ in rows):
            return TurnAnswer(seconds=max(0.0, rows[0][2]))
        return TurnAnswer(refused={key: seconds for key, _, seconds in rows})
