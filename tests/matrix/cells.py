"""The cells of the matrix: one version of each server, one path to PostgreSQL, and one type of queue."""

import itertools
from dataclasses import dataclass

from tests.support.source import ROOT

POSTGRESQL = {"15": "bookworm", "17": "trixie", "18": "forky"}
PGBOUNCER = {"1.18": "bookworm", "1.24": "trixie"}
RABBITMQ = {"3.10": "bookworm", "4.0": "trixie", "4.3": "forky"}
"""Versions, and the release of Debian that has each."""
DIRECT = "direct"
QUEUES = ("classic", "quorum")
_STABLE, _NEWEST = (("15", "17"), ("3.10", "4.0")), (("18",), ("4.3",))
_CHAOS, _SUPERVISOR = "tests/chaos/test", "tests/chaos/test_supervisor_killed.py::test"
_EVERYWHERE = (
    "tests/matrix/test_cell.py",
    "tests/acceptance/test_spine.py",
    "tests/acceptance/test_api_submit.py",
    "tests/acceptance/test_api_tasks.py",
    "tests/acceptance/test_api_sse.py",
    "tests/process/test_pools.py",
    "tests/integration/test_worker_link.py",
    f"{_CHAOS}_worker_killed.py",
    f"{_CHAOS}_queue_deleted.py",
    f"{_CHAOS}_frozen_worker.py::test_another_worker_does_a_frozen_workers_task_and_the_late_outcome_is_discarded",
    f"{_CHAOS}_frozen_worker.py::test_an_idle_frozen_worker_ends_without_losing_a_hint",
    f"{_CHAOS}_frozen_worker.py::test_all_light_tasks_of_a_frozen_batch_are_taken_back",
    f"{_SUPERVISOR}_the_children_of_a_killed_supervisor_die_and_the_next_one_finishes_their_tasks",
    f"{_SUPERVISOR}_a_terminated_supervisor_under_load_leaves_nothing_in_progress_and_spends_no_attempt",
    f"{_SUPERVISOR}_a_stop_while_postgresql_does_not_answer_ends_in_time",
    f"{_SUPERVISOR}_a_second_supervisor_on_the_host_takes_back_the_leases_of_a_killed_one",
)
"""Files and single tests. The others of these files are about processes and signals, whatever the servers are."""
_OF_THE_STORE = ("tests/integration/test_store_*.py", "tests/integration/test_pairs*.py")
"""These connect directly and need no broker, so one cell of each PostgreSQL runs them."""


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

    def tests(self) -> list[str]:
        """Return the arguments that name the cell's tests to pytest."""
        found = list(_EVERYWHERE)
        if (self.path, self.rabbitmq, self.queue_type) in ((DIRECT, "3.10", "classic"), (DIRECT, "4.3", "classic")):
            paths = itertools.chain.from_iterable(sorted(ROOT.glob(pattern)) for pattern in _OF_THE_STORE)
            found += [str(path.relative_to(ROOT)) for path in paths]
        return found


CELLS = [
    Cell(postgresql, path, rabbitmq, queue_type)
    for postgresql_versions, rabbitmq_versions in (_STABLE, _NEWEST)
    for rabbitmq in rabbitmq_versions
    for postgresql in postgresql_versions
    for path in (DIRECT, *sorted(PGBOUNCER, reverse=True))
    for queue_type in QUEUES
]
