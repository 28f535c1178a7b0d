"""Databases with an earlier schema and data in them, and the whole catalog for comparisons."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from dtqs.config import PostgresqlSection
from dtqs.uuid7 import uuid7

SCHEMAS = Path(__file__).parent / "schemas"
"""schema.sql as it was, unchanged. `_first` and `_rates`: a version was in use while it still changed."""
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.sql"))
Connection = psycopg.Connection[tuple[Any, ...]]
DAY = r"regexp_replace({}, '\d{{8}}', 'DAY', 'g')"
OURS = "relnamespace = 'public'::regnamespace"
CATALOG = {
    "relations": f"""
        SELECT DISTINCT {DAY.format("relname")}, relkind, relpersistence,
            (SELECT array_agg(o ORDER BY o) FROM unnest(reloptions) o)
        FROM pg_class WHERE {OURS} ORDER BY 1""",
    "columns": f"""
        SELECT DISTINCT {DAY.format("relname")}, rank() OVER (PARTITION BY c.oid ORDER BY attnum), attname,
            format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)
        FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE {OURS} AND relkind IN ('r', 'p', 'v') ORDER BY 1, 2""",
    "indexes": f"SELECT DISTINCT {DAY.format('indexdef')} FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "constraints": f"""
        SELECT DISTINCT {DAY.format("conrelid::regclass::text")}, {DAY.format("conname")}, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    # apart from comments, line breaks and where a text is split
    "functions": r"""
        SELECT regexp_replace(
            regexp_replace(pg_get_functiondef(oid), E'\'\\s+\'', '', 'g'), E'(--[^\\n]*\\n|\\s)+', ' ', 'g')
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1
    """,
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "grants": f"SELECT relname, relacl::text FROM pg_class WHERE {OURS} AND relacl IS NOT NULL ORDER BY 1",
    "role": """
        SELECT (SELECT array_agg(o ORDER BY o) FROM unnest(setconfig) o) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    "versions": "SELECT name, value FROM settings WHERE name LIKE 'schema_%' ORDER BY 1",
}


def section_of(dsn: str) -> PostgresqlSection:
    return PostgresqlSection(dsn=SecretStr(dsn), connect_timeout_seconds=5)


def become(connection: Connection, name: str | None) -> int:
    """Empty the database and give it an old schema, as `dtqs migrate` of its time did. Return its version or 0."""
    connection.execute("DROP OWNED BY current_user")
    row = connection.execute("SELECT current_user, current_database()").fetchone()
    assert row
    connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(*map(sql.Identifier, row)))
    if name is None:
        return 0
    version = int(name.split("_")[1])
    with connection.transaction():
        connection.execute((SCHEMAS / f"{name}.sql").read_bytes())
        recorded = {"schema_version": version} | ({"schema_compatible": 3} if version >= 5 else {})
        for setting, value in recorded.items():
            connection.execute("INSERT INTO settings (name, value) VALUES (%s, to_jsonb(%s::int))", [setting, value])
    return version


def catalog(connection: Connection) -> dict[str, list[Any]]:
    return {name: connection.execute(query.encode()).fetchall() for name, query in CATALOG.items()}


def fill(connection: Connection) -> dict[str, str]:
    """Store rows in every table of the first version. Return a task for each status."""
    worker, tasks = uuid7(), {status: uuid7() for status in ("pending", "in_progress", "completed", "failed")}
    for status, task in tasks.items():
        outcome = status if status in ("completed", "failed") else None
        connection.execute(
            "INSERT INTO tasks (id, task_type, light, payload, outcome, result, error, tags) VALUES"
            """ (%s, 'echo', true, '{"a": 1.5}', %s, '{"b": [2]}', '{"message": "no"}', '{x}')""",
            [task, outcome],
        )
        connection.execute(
            """INSERT INTO logs (task_id, event, level, data) VALUES (%s, %s, 'info', '{"c": true}')""", [task, status]
        )
    rows: list[tuple[str, list[Any]]] = [
        (
            "backlog (task_id, task_type, light, priority, due_at, publish_at)"
            " VALUES (%s, 'echo', true, 5, now(), now())",
            [tasks["pending"]],
        ),
        (
            "leases (id, worker_id, task_ids) VALUES (%s, %s, ARRAY[%s]::uuid[])",
            [uuid7(), worker, tasks["in_progress"]],
        ),
        ("failures (task_id, task_type, outcome) VALUES (%s, 'echo', 'failed')", [tasks["failed"]]),
        (
            "workers (id, node_id, boot_id, node_name, pool, slot, pid, state, heartbeat_at)"
            " VALUES (%s, %s, %s, 'node-a', 'default', 0, 1, 'ready', now() - interval '1 h')",
            [worker, uuid7(), uuid7()],
        ),
        ("counters (process_id, role, node_name, submitted) VALUES (%s, 'folded', 'web', 7)", [uuid7()]),
        ("idempotency_keys (api_key_id, key, body_hash, task_ids) VALUES (%s, 'k', 'hash', '{}')", [uuid7()]),
        ("api_keys (id, name, hash, scopes) VALUES (%s, 'ops', 'hash', '{admin}')", [uuid7()]),
        ("settings (name, value) VALUES ('api_secret', '\"secret\"')", []),
        (
            "schedules (id, name, rule, task_type, payload)"
            """ VALUES (%s, 'nightly', '@daily', 'echo', '{"d": null}')""",
            [uuid7()],
        ),
        ("files (id, name, media_type, size_bytes, sha256) VALUES (%s, 'a.png', 'image/png', 3, 'abc')", [uuid7()]),
    ]
    for row, parameters in rows:
        connection.execute(f"INSERT INTO {row}".encode(), parameters)
    return tasks


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables except the versions, with json and jsonb values in one form."""
    names = f"SELECT relname FROM pg_class WHERE {OURS} AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    found = {}
    for (name,) in connection.execute(names.encode()).fetchall():
        query = sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)::text").format(sql.Identifier(name))
        rows = [row for (row,) in connection.execute(query).fetchall()]
        found[name] = [row for row in rows if not str(row.get("name")).startswith("schema_")]
    return found
