"""A steady stream of submits through the API during a fault."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.support.fix_system import System


class Load:
    """Submits tasks in arrays from a thread of its own. Only tasks with a 202 count. A context manager."""

    def __init__(self, system: System, bodies: Sequence[dict[str, Any]], array: int, pace_seconds: float) -> None:
        self._system, self._bodies, self._array, self._pace = system, bodies, array, pace_seconds
        self.accepted: list[str] = []
        self.refused = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def join(self, seconds: float) -> None:
        """Wait until every task has been submitted."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"only {len(self.accepted)} of {len(self._bodies)} tasks were accepted"

    def _run(self) -> None:
        headers = dict(self._system.client.headers)
        with httpx.Client(base_url=self._system.url, headers=headers, timeout=30) as client:
            while not self._end.is_set() and (first := len(self.accepted)) < len(self._bodies):
                self._submit(lambda: client.post("/submit", json=self._bodies[first : first + self._array]))
                self._end.wait(self._pace)

    def _submit(self, post: Callable[[], httpx.Response]) -> None:
        try:
            response = post()
        except httpx.TransportError:
            self.refused += 1
            return
        if response.status_code == 202:
            self.accepted += [task["task_id"] for task in response.json()]
        else:
            self.refused += 1


def longest_gap(system: System, began: float, seconds: float) -> float:
    """Return the longest time without an outcome that began within these seconds, up to now."""
    (row,) = system.rows(
        "WITH ends AS (SELECT extract(epoch FROM finished_at)::float AS at FROM tasks UNION ALL SELECT %s::float"
        " UNION ALL SELECT extract(epoch FROM now())::float WHERE EXISTS (SELECT FROM tasks WHERE outcome IS NULL)),"
        " gaps AS (SELECT at, at - lag(at) OVER (ORDER BY at) AS gap FROM ends)"
        " SELECT max(gap) FROM gaps WHERE at - gap BETWEEN %s AND %s",
        began,
        began,
        began + seconds,
    )
    return float(row[0])
