"""The cost of a scrape of /metrics beside many finished tasks: database time, and the time to write the page.

.venv/bin/python bench/metrics_cost.py [--finished 1000000] [--pending 20000] [--processes 20]
"""

import argparse
import statistics
import time

import psycopg
from prometheus_client.exposition import generate_latest
from pydantic import SecretStr
from rig import Rig, say

from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.metrics.families import families
from dtqs.metrics.page import Paced
from dtqs.store import Store
from dtqs.store.driver.schema import migrate
from dtqs.store.measures import Measures
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7

_FILL = """
INSERT INTO tasks (id, task_type, light, payload, attempts, outcome, finished_at)
SELECT gen_random_uuid(), 'echo', true, '{}', 1, 'completed', now() FROM generate_series(1, %(finished)s);
WITH waiting AS (
    INSERT INTO tasks (id, task_type, light, payload)
    SELECT gen_random_uuid(), 'type' || i %% 10, true, '{}' FROM generate_series(1, %(pending)s) i
    RETURNING id, task_type
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)
SELECT id, task_type, true, 5, now(), now() + interval '1 h' FROM waiting;
"""
_TYPES = [f"type{number}" for number in range(10)]


def fill(dsn: str, store: Store, finished: int, pending: int, processes: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for part in _FILL.split(";\n"):
            if part.strip():
                text = part.replace("%(finished)s", str(finished)).replace("%(pending)s", str(pending))
                connection.execute(text.replace("%%", "%").encode())
        connection.execute("VACUUM ANALYZE")  # autovacuum would do it during the measurement
    for _ in range(processes):
        totals = ProcessTotals()
        for task_type in _TYPES:
            totals.tally.add(f"attempts|{task_type}|completed", 7)
            totals.tally.observe("wait", task_type, [0.002, 0.2, 2.0, 20.0, 200.0])
            totals.tally.observe("run", task_type, [0.001, 0.01, 0.1, 1.0, 10.0])
        store.workers.count(uuid7(), "worker", "node", totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--pending", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=20)
    given = parser.parse_args()
    with Rig() as rig, rig.database() as dsn:
        section = PostgresqlSection(dsn=SecretStr(dsn), statement_timeout_seconds=600)
        migrate(section)
        store = Store(section, LeaseSection(), 2, "bench")
        store.start()
        say(f"{given.finished:,} finished tasks")
        fill(section.dsn.get_secret_value(), store, given.finished, given.pending, given.processes)
        measures, reads, pages = Measures(store.database, 16, 60, 600), [], []
        for _ in range(50):
            measured = measures.read()
            reads.append(measured.seconds * 1000)
            began = time.monotonic()
            text = generate_latest(Paced(families(measured, None, _TYPES, 0.0)))
            pages.append((time.monotonic() - began) * 1000)
        store.stop()
    first, usual, worst = reads[0], statistics.median(reads), max(reads[1:])
    print(f"reading: {usual:.1f} ms at the median, {worst:.1f} at most; the first, with the size, {first:.1f} ms")
    print(f"page: {statistics.median(pages):.1f} ms at the median, {len(text):,} bytes")


if __name__ == "__main__":
    main()
