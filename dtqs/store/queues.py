"""The queues that keepers have declared in RabbitMQ, the workers that consume them, who refills one that was lost, and
the routes of all nodes.
"""

from collections.abc import Sequence

from dtqs.store.driver.database import Database
from dtqs.store.driver.statements import text_array


class Queues:
    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, queues: Sequence[str]) -> None:
        """Note that these queues are declared. Raises StoreUnavailable."""
        self._database.run("remember_queues", {"queues": text_array(queues)})

    def forget(self, queue: str) -> None:
        """Note that a queue is deleted. Raises StoreUnavailable."""
        self._database.run("forget_queue", {"queue": queue})

    def unconsumed(self, age_seconds: float) -> list[str]:
        """Return the queues that no living worker consumes and no route of a process heard of lately names.

        Raises StoreUnavailable.
        """
        return [row[0] for row in self._database.run("unconsumed_queues", {"age": age_seconds})]

    def routes(self, age_seconds: float) -> list[tuple[str, str, str | None]]:
        """Return (node, role, routes) of the processes heard of lately; no routes: an older version.

        Raises StoreUnavailable.
        """
        return [(row[0], row[1], row[2]) for row in self._database.run("routes_of_nodes", {"age": age_seconds})]

    def take_refill(
        self, queue: str, process_id: str, cut_seconds: float, missed_seconds: float
    ) -> tuple[str | None, bool]:
        """Take the refill of a queue whose hints of more than `cut_seconds` ago are lost.

        Returns that time of the database, or None if another process refills it, and whether a refill that has ended
        covers a queue that was missing `missed_seconds` ago. Raises StoreUnavailable.
        """
        facts = {"queue": queue, "process_id": process_id, "cut_seconds": cut_seconds, "missed_seconds": missed_seconds}
        # no repetition inside: a worker's heartbeats wait meanwhile, and it asks again
        ((cut, covered),) = self._database.run_once("take_refill", facts)
        return cut, bool(covered) and cut is None

    def keep_refill(self, queue: str, process_id: str, cut: str, ended: bool = False) -> bool:
        """Keep a refill for some seconds, or end it. False: another process has it. Raises StoreUnavailable."""
        facts = {"queue": queue, "process_id": process_id, "cut": cut, "ended": ended}
        return bool(self._database.run_once("keep_refill", facts))

    def left_refills(self, queues: Sequence[str]) -> list[tuple[str, float]]:
        """Return (queue, age of its cut in seconds) for those of the queues whose refill was left by a dead process.

        Raises StoreUnavailable.
        """
        names = text_array([f"refill {queue}" for queue in queues])
        return [(row[0], float(row[1])) for row in self._database.run_once("left_refills", {"names": names})]
