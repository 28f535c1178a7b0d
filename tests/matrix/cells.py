"""The cells of the matrix: one version of each server, one path to PostgreSQL, and one type of queue."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from tests.support.source import ROOT

POSTGRESQL = {"15": "bookworm", "17": "trixie", "18": "forky"}
PGBOUNCER = {"1.18": "bookworm", "1.24": "trixie"}
RABBITMQ = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}
"""Versions, and the release of Debian that has each."""
DIRECT = "direct"
QUEUES = ("classic", "quorum")
_STABLE, _NEWEST = (("15", "17"), ("3.10", "4.0")), (("18",), ("4.3",))
_EVERYWHERE = (
    "tests/matrix/test_cell.py",
    "tests/acceptance/test_spine.py",
    "tests/acceptance/test_api_submit.py",
    "tests/acceptance/test_api_tasks.py",
    "tests/acceptance/test_api_sse.py",
    "tests/chaos/test_worker_killed.py",
    "tests/chaos/test_supervisor_killed.py",
    "tests/chaos/test_frozen_worker.py",
    "tests/chaos/test_queue_deleted.py",
    "tests/process/test_pools.py",
    "tests/integration/test_worker_link.py",
)
_OF_THE_STORE = ("tests/integration/test_store_*.py", "tests/integration/test_pairs*.py")
"""These connect directly and need no broker, so one direct cell of each broker runs them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell."""

    postgresql: str
    path: str
    """`direct`, or the version of the PgBouncer in between."""
    rabbitmq: str
    queue_type: str

    @property
    def name(self) -> str:
        path = self.path if self.path == DIRECT else f"pgbouncer{self.path}"
        return f"pg{self.postgresql}-{path}-rmq{self.rabbitmq}-{self.queue_type}"

    @property
    def has_prepared(self) -> bool:
        """Whether prepared statements survive on the path to PostgreSQL."""
        return self.path == DIRECT or int(self.path.partition(".")[2]) >= 22

    def files(self) -> list[str]:
        """Return the test files of the cell."""
        found: list[Path] = [ROOT / name for name in _EVERYWHERE]
        if (self.path, self.queue_type) == (DIRECT, "classic"):
            found += itertools.chain.from_iterable(sorted(ROOT.glob(pattern)) for pattern in _OF_THE_STORE)
        return [str(path.relative_to(ROOT)) for path in found]


CELLS = [
    Cell(postgresql, path, rabbitmq, queue_type)
    for postgresql_versions, rabbitmq_versions in (_STABLE, _NEWEST)
    for rabbitmq in rabbitmq_versions
    for postgresql in postgresql_versions
    for path in (DIRECT, *sorted(PGBOUNCER, reverse=True))
    for queue_type in QUEUES
]
