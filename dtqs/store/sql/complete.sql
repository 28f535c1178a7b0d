-- A worker ends a lease whose tasks are all completed without files. Most leases end so, and this costs two thirds of
-- finish.sql. No row comes back if the lease is gone or holds other tasks: finish.sql tells which.
-- Locks: the lease, then the tasks in the order of their ids.
WITH mine AS MATERIALIZED (
    DELETE FROM leases
    WHERE id = %(lease_id)s::uuid AND task_ids = %(ids)s::text::uuid[]
    RETURNING worker_id, started_at
),
settlement AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, named.id, named.value
    FROM mine
    CROSS JOIN unnest(%(ids)s::text::uuid[], %(values)s::text[]) named(id, value)
    ORDER BY named.id
),
settled AS (
    UPDATE tasks task SET
        attempts = task.attempts + 1,
        result = settlement.value::json,
        error = NULL,
        started_at = settlement.started_at,
        worker_id = settlement.worker_id,
        finished_at = now(),
        outcome = 'completed'
    FROM settlement
    WHERE task.id = settlement.id AND task.outcome IS NULL
    RETURNING task.id, task.attempts, task.worker_id
)
INSERT INTO logs (task_id, event, attempt, worker_id, level)
SELECT id, 'completed', attempts, worker_id, 'info'
FROM settled
RETURNING id, task_id::text, event
