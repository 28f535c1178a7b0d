"""The cells of the matrix: one version of each server, one path to PostgreSQL, and one type of queue."""

from dataclasses import dataclass

from tests.matrix.chosen import EVERYWHERE, LEFT_OUT, MORE, OF_THE_PATH, OF_THE_QUEUE

POSTGRESQL = {"15": "bookworm", "17": "trixie", "18": "forky"}
PGBOUNCER = {"1.18": "bookworm", "1.24": "trixie"}
RABBITMQ = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}
"""Versions, and the release of Debian that has each."""
DIRECT = "direct"
QUEUES = ("classic", "quorum")
_STABLE, _NEWEST = (("15", "17"), ("3.10", "4.0")), (("18",), ("4.3",))


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

    @property
    def may_be_missing(self) -> bool:
        """Whether it needs servers of a release of Debian that is not stable yet."""
        return self.postgresql in _NEWEST[0]

    def tests(self, all_tests: bool) -> list[str]:
        """Return the arguments that name the cell's tests to pytest."""
        found = list(EVERYWHERE)
        if self.path == DIRECT or all_tests:
            found += OF_THE_QUEUE
        if self == next(cell for cell in CELLS if (cell.postgresql, cell.path) == (self.postgresql, self.path)):
            found += OF_THE_PATH
        if all_tests:
            return [name for name in found if name.partition("::")[0] not in MORE] + list(MORE)
        return found + [f"--deselect={name}" for name in LEFT_OUT]


CELLS = [
    Cell(postgresql, path, rabbitmq, queue_type)
    for postgresql_versions, rabbitmq_versions in (_STABLE, _NEWEST)
    for rabbitmq in rabbitmq_versions
    for postgresql in postgresql_versions
    for path in (DIRECT, *sorted(PGBOUNCER, reverse=True))
    for queue_type in QUEUES
]
