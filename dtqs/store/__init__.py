"""PostgreSQL: the only code that talks to it. `Store` holds all parts over one connection pool of one process."""

from dtqs.config import LeaseSection, PostgresqlSection, RetrySection
from dtqs.store.api_keys import ApiKeys
from dtqs.store.audit import Audit
from dtqs.store.backlog import Backlog
from dtqs.store.driver.database import Database
from dtqs.store.file_rows import FileRows
from dtqs.store.housekeeping import Housekeeping
from dtqs.store.leases import Leases
from dtqs.store.queues import Queues
from dtqs.store.rates import RateLimits
from dtqs.store.reads import Reads
from dtqs.store.tasks import Tasks
from dtqs.store.workers import Workers


class Store:
    """The parts, by name. Build it after the fork; `start` opens the pool.

    Under gevent pass the database class of cooperative.py, in a worker the one of kept.py.
    """

    def __init__(
        self,
        section: PostgresqlSection,
        lease: LeaseSection,
        size: int,
        name: str,
        database_class: type[Database] = Database,
        retry: RetrySection | None = None,
        keeps_text: bool = False,
    ) -> None:
        """Pass `retry`, with its backoff and limit of deaths, if this process reclaims leases.

        `keeps_text`: large values that `reads` returns stay text.
        """
        self.database = database_class(section, size, name)
        self.lease_section = lease
        self.tasks = Tasks(self.database, lease.grace_seconds)
        self.leases = Leases(self.database, lease.grace_seconds, retry or RetrySection())
        self.backlog = Backlog(self.database, lease.grace_seconds, lease.far_out_seconds)
        self.workers = Workers(self.database, self.leases)
        self.queues = Queues(self.database)
        self.rates = RateLimits(self.database)
        self.reads = Reads(self.database, keeps_text)
        self.audit = Audit(self.database)
        self.api_keys = ApiKeys(self.database)
        self.files = FileRows(self.database)
        self.housekeeping = Housekeeping(self.database)

    def start(self) -> None:
        self.database.start()

    def stop(self) -> None:
        self.database.stop()


__all__ = ["Store"]
