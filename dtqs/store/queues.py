"""The queues that keepers have declared in RabbitMQ, the workers that consume them, and the routes of all nodes."""

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
