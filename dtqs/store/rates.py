"""Rate limits that all workers share: one row a key, one statement a turn."""

from dtqs.store.database import Database


class Rates:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, key: str, per_second: float, burst: int) -> float:
        """Take a turn of a limit; returns 0, or the seconds after which to ask again. Raises StoreUnavailable, StoreRefused.

        A turn whose reply was lost is lost: the limit may be kept a little too well, never broken.
        """
        turn = 1.0 / per_second
        ((wait_seconds,),) = self._database.run_once("take_rate", {"key": key, "turn": turn, "slack": (burst - 1) * turn})
        return float(wait_seconds)
