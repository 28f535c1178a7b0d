"""The limit of the database: the yardstick's claims and finishes as a stored procedure in two sessions.

No client, no broker and no round trip: no product on these tables and this server can be faster.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yardstick
from yardstick import Place

SESSIONS = 2
BATCHES = (250, 500)
"""Tasks of a claim: those of the yardstick, and those of the product (`batch_limit`)."""
_PARAMETER = re.compile(r"%\((\w+)\)s(?:::[a-z0-9]+(?:\[\])?)*")
_PARTS = """CREATE TABLE batches AS
SELECT number / %(batch)s AS part, array_agg(id ORDER BY number) AS ids
FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM tasks) numbered
GROUP BY part"""
_PROCEDURE = """CREATE PROCEDURE drain(session int, worker uuid) LANGUAGE plpgsql AS $procedure$
DECLARE
    got record;
    lease uuid;
    done bigint;
BEGIN
    FOR got IN SELECT ids FROM batches WHERE part % {sessions} = session ORDER BY part LOOP
        lease := gen_random_uuid();
        {claim};
        COMMIT;
        {finish};
        COMMIT;
    END LOOP;
END $procedure$"""


def drain_rate(place: Place, tasks: int, batch: int) -> float:
    """Store whole batches, let the sessions claim and finish them, a commit for each; return tasks per second."""
    tasks -= tasks % batch
    yardstick.prepare(place)
    with yardstick.connect(place.dsn) as database:
        for _ in range(tasks // batch):
            yardstick.insert(database, batch)
        database.execute(_PARTS, {"batch": batch})
        database.execute(_PROCEDURE.format(sessions=SESSIONS, claim=_claim(batch), finish=_finish(batch)).encode())
        with ThreadPoolExecutor(SESSIONS) as pool:
            start = time.monotonic()
            for call in [pool.submit(_run, place, number) for number in range(SESSIONS)]:
                call.result()
            seconds = time.monotonic() - start
        ((done,),) = database.execute("SELECT count(*) FROM tasks WHERE outcome = 'completed'").fetchall()
    if done != tasks:
        raise RuntimeError(f"the sessions finished {done} of {tasks} tasks")
    return tasks / seconds


def _run(place: Place, number: int) -> None:
    with yardstick.connect(place.dsn) as database:
        ((worker,),) = database.execute("INSERT INTO workers (id) VALUES (gen_random_uuid()) RETURNING id").fetchall()
        database.execute("CALL drain(%s, %s)", (number, worker))


def _claim(batch: int) -> str:
    head, _, tail = _statement("claim", batch).rpartition("SELECT ")
    _, _, source = tail.partition("\n")
    return f"{head}SELECT count(tasks.payload::text) INTO done\n{source}"


def _finish(batch: int) -> str:
    """Return the finish, with its last part as one more part of the statement: a procedure needs a target for rows."""
    head, _, insert = _statement("finish", batch).rpartition("INSERT INTO logs")
    return f"{head.rstrip()},\nlogged AS (INSERT INTO logs{insert})\nSELECT count(*) INTO done FROM logged"


def _statement(name: str, batch: int) -> str:
    values = {
        "worker_id": "worker",
        "lease_id": "lease",
        "ids": "got.ids",
        "named": str(batch),
        "outcomes": f"array_fill('completed'::text, array[{batch}])",
        "results": f"array_fill('{yardstick.PAYLOAD}'::text, array[{batch}])",
        "delays": f"array_fill(0::float8, array[{batch}])",
    }
    text = (Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return _PARAMETER.sub(lambda found: values[found[1]], text).rstrip()
