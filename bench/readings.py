"""Measure PostgreSQL's time for one refresh of a console or dashboard.

The database has a million finished and 100,000 pending tasks. Every statement runs as in the product: prepared, and
with the product's own role. The server itself measures each (auto_explain).
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.errors import Diagnostic
from pydantic import SecretStr
from report import machine, print_columns
from rig import Rig, say

from dtqs.cli.doctor import AUDIT_BATCH
from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.store.audit import Audit
from dtqs.store.driver.connection import LimitedConnection
from dtqs.store.driver.database import Database
from dtqs.store.driver.schema import migrate
from dtqs.store.overview import LogQuery, Overview
from dtqs.store.reads import Reads, TaskFilter
from dtqs.task import Status

LIMIT_MILLISECONDS = 50.0
_SLOW_SECONDS = 600.0
_SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_level": "notice",
    "client_min_messages": "notice",
}
_SCREEN, _LOG_LINES, _PAGE = 60, 200, 50
# ids like the product's: they sort by the time of the submit, over the last twelve hours
_ID = """(
    lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')
    || '7' || substr(md5({n}::text), 1, 3)
    || '8' || substr(md5({n}::text), 4, 15)
)::uuid"""
_FILL = (
    """INSERT INTO tasks (
        id, task_type, light, payload, priority, attempts, outcome, result, error, created_at, started_at, finished_at,
        tags
    )
    SELECT
        {id},
        'echo',
        true,
        '{{"hello": "world"}}',
        n % 10,
        1,
        CASE n % 100 WHEN 0 THEN 'failed' ELSE 'completed' END,
        '{{"hello": "world"}}',
        CASE n % 100 WHEN 0 THEN '{{"type": "PermanentError", "message": "no luck"}}'::jsonb END,
        at,
        at + interval '0.01 s',
        at + interval '0.02 s',
        CASE WHEN n % 20000 = 0 THEN ARRAY['rare', 'seldom'] WHEN n % 1000 = 0 THEN ARRAY['seldom'] END
    FROM (
        SELECT n, now() - interval '12 hours' * (1 - n / {finished}::float8) AS at
        FROM generate_series(1, {finished}) n
    ) numbers""",
    """INSERT INTO failures (task_id, task_type, outcome, at)
    SELECT id, task_type, outcome, finished_at
    FROM tasks
    WHERE outcome = 'failed'""",
    """INSERT INTO logs (task_id, at, event, attempt, level, message)
    SELECT
        id,
        now() - interval '1 min' * (1 - row_number() OVER (ORDER BY id) / {finished}::float8),
        outcome,
        1,
        CASE outcome WHEN 'failed' THEN 'error' ELSE 'info' END,
        CASE outcome WHEN 'failed' THEN 'no luck' END
    FROM tasks
    ORDER BY id""",
    # nearly all have one priority, so a query for another one has to search the whole table
    """INSERT INTO tasks (id, task_type, light, payload, priority, created_at, tags)
    SELECT
        {id},
        'type_' || n % 7,
        true,
        '{{"hello": "world"}}',
        CASE WHEN n % 1000 = 0 THEN 8 WHEN n % 100 = 0 THEN 2 ELSE 5 END,
        at,
        ARRAY['bench']
    FROM (
        SELECT {finished} + n AS n, now() AS at
        FROM generate_series(1, {pending}) n
    ) numbers""",
    """INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)
    SELECT
        id,
        task_type,
        light,
        priority,
        coalesce(later, created_at),
        coalesce(later, now() + interval '10 min' * number / {pending})
    FROM (
        SELECT
            *,
            row_number() OVER () AS number,
            CASE WHEN row_number() OVER () % 5 = 0 THEN now() + interval '7 days' * random() END AS later
        FROM tasks
        WHERE outcome IS NULL
    ) pending""",
    """INSERT INTO workers (
        id, node_id, boot_id, node_name, pool, slot, pid, state, task_id, task_type, task_started_at
    )
    SELECT
        gen_random_uuid(),
        gen_random_uuid(),
        gen_random_uuid(),
        'node',
        'default',
        number,
        number,
        'busy',
        id,
        task_type,
        now()
    FROM (
        SELECT id, task_type, row_number() OVER () AS number
        FROM (
            SELECT id, task_type
            FROM tasks
            WHERE outcome IS NULL
            ORDER BY id
            LIMIT {workers}
        ) first
    ) numbered""",
    """INSERT INTO logs (task_id, event, attempt, level, data)
    SELECT task_id, 'progress', 1, 'info', '{{"fraction": 0.5}}'
    FROM workers
    CROSS JOIN generate_series(1, 100)""",
    """INSERT INTO counters (process_id, role, node_name, submitted)
    SELECT id, 'worker', 'node', 1
    FROM workers""",
    """INSERT INTO leases (id, worker_id, task_ids)
    SELECT gen_random_uuid(), id, ARRAY[task_id]
    FROM workers""",
)


@dataclass(slots=True)
class Cost:
    """The server's milliseconds for one part of a refresh, for each run."""

    name: str
    runs: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)


class TimedDatabase(Database):
    """Add up the time of all statements, as the server reports it."""

    def __init__(self, section: PostgresqlSection) -> None:
        super().__init__(section, 1, "bench readings")
        self.milliseconds = 0.0

    def _configure(self, connection: LimitedConnection) -> None:
        super()._configure(connection)
        connection.add_notice_handler(self._add)

    def _add(self, notice: Diagnostic) -> None:
        duration = re.match(r"duration: ([\d.]+) ms", notice.message_primary or "")
        self.milliseconds += float(duration[1]) if duration else 0.0


@contextmanager
def filled(rig: Rig, finished: int, pending: int, workers: int) -> Iterator[TimedDatabase]:
    with rig.database() as dsn:
        section = PostgresqlSection(dsn=SecretStr(dsn), statement_timeout_seconds=_SLOW_SECONDS)
        migrate(section)
        with rig.admin(dsn) as admin, psycopg.connect(dsn) as connection:
            connection.execute("SET statement_timeout = 0")
            for command in _FILL:
                say(" ".join(command.split())[:40])
                values = {
                    "finished": finished,
                    "pending": pending,
                    "workers": workers,
                    "id": _ID.format(at="at", n="n"),
                }
                connection.execute(command.format(**values).encode())
            connection.commit()
            admin.execute("VACUUM ANALYZE")
            explain(admin, connection.info.user, connection.info.dbname)
        database = TimedDatabase(section)
        database.start()
        yield database
        database.stop()


def explain(admin: "psycopg.Connection[tuple[object, ...]]", role: str, name: str) -> None:
    """Let the server report the duration of each statement to our role."""
    for setting, value in _SETTINGS.items():
        command = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
        admin.execute(command.format(sql.Identifier(role), sql.Identifier(name), sql.SQL(setting), sql.Literal(value)))


def measure(database: TimedDatabase, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Return the parts of a refresh, and further queries that users run at times."""
    overview, reads = Overview(database), Reads(database)
    far_out = LeaseSection().far_out_seconds
    parts: dict[str, Callable[[], object]] = {
        "totals": overview.totals,
        "workers and their progress": overview.workers,
        "processes": lambda: overview.processes(60),
        "depth, next and later tasks": lambda: overview.backlog(far_out, _SCREEN, _SCREEN),
        "failures": lambda: overview.failures(_SCREEN),
        "latency, retrying tasks": lambda: overview.recent(_SCREEN),
        "newest log rows": lambda: overview.logs(LogQuery(_LOG_LINES)),
    }
    beside: dict[str, Callable[[], object]] = {
        "log rows of a level": lambda: overview.logs(LogQuery(_LOG_LINES, "error")),
        "log rows with a text that no row has": lambda: overview.logs(
            LogQuery(_LOG_LINES, search="nowhere to be found")
        ),
        "a page of all tasks": lambda: reads.page(TaskFilter(), _PAGE),
        "a page of completed tasks with a tag of 1 in 20,000": lambda: reads.page(
            TaskFilter(Status.COMPLETED, tag="rare"), _PAGE
        ),
        "a page of tasks with a tag of 1 in 1,000": lambda: reads.page(TaskFilter(tag="seldom"), _PAGE),
        "a page of tasks of a type that none has": lambda: reads.page(TaskFilter(task_type="none"), _PAGE),
        "a page of pending tasks with a tag that none has": lambda: reads.page(
            TaskFilter(Status.PENDING, tag="seldom"), _PAGE
        ),
        "a page of failed tasks of a type that none has": lambda: reads.page(
            TaskFilter(Status.FAILED, task_type="none"), _PAGE
        ),
        f"{AUDIT_BATCH:,} tasks of the audit": lambda: Audit(database).batch(None, AUDIT_BATCH),
    }
    return [timed(database, *part, rounds) for part in parts.items()], [
        timed(database, *part, rounds) for part in beside.items()
    ]


def timed(database: TimedDatabase, name: str, call: Callable[[], object], rounds: int) -> Cost:
    cost = Cost(name, [])
    for _ in range(rounds + 2):
        database.milliseconds = 0.0
        call()
        cost.runs.append(database.milliseconds)
    del cost.runs[:2]  # the first ones connect, prepare and warm the cache
    return cost


def show(refresh: list[Cost], beside: list[Cost], as_json: bool) -> bool:
    total = sum(cost.median for cost in refresh)
    met = total <= LIMIT_MILLISECONDS
    if as_json:
        figures = {cost.name: round(cost.median, 3) for cost in refresh + beside}
        print(
            json.dumps(
                {
                    "machine": machine(),
                    "milliseconds": figures,
                    "refresh": round(total, 3),
                    "expected": f"<= {LIMIT_MILLISECONDS:g}",
                    "met": met,
                },
                indent=2,
            )
        )
        return met
    rows = [[cost.name, f"{cost.median:.2f} ms", f"{max(cost.runs):.2f}", ""] for cost in refresh]
    rows.append(["one refresh", f"{total:.2f} ms", "", "yes" if met else "NO"])
    rows += [[f"beside it: {cost.name}", f"{cost.median:.2f} ms", f"{max(cost.runs):.2f}", ""] for cost in beside]
    print_columns([["query", "median", "longest", f"≤ {LIMIT_MILLISECONDS:g} ms"], *rows])
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (
        suppress(KeyboardInterrupt),
        Rig() as rig,
        filled(rig, arguments.finished, arguments.pending, arguments.workers) as database,
    ):
        refresh, beside = measure(database, arguments.rounds)
        sys.exit(0 if show(refresh, beside, arguments.json) else 1)


if __name__ == "__main__":
    main()
