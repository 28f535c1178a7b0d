-- A worker ends a lease of which it has completed every task, without files: what finish does for these alone, which are most, at two thirds of its cost.
-- No row: the lease is gone, or holds other tasks than these, and finish tells which. Locks: lease, then tasks in id order.
WITH mine AS MATERIALIZED (DELETE FROM leases WHERE id = %(lease_id)s::uuid AND task_ids = %(ids)s::text::uuid[] RETURNING worker_id, started_at),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, x.id, x.value
    FROM mine CROSS JOIN unnest(%(ids)s::text::uuid[], %(values)s::text[]) x(id, value) ORDER BY x.id
),
f AS (
    UPDATE tasks t SET attempts = t.attempts + 1, result = k.value::json, error = NULL, started_at = k.started_at, worker_id = k.worker_id,
        finished_at = now(), outcome = 'completed'
    FROM k WHERE t.id = k.id AND t.outcome IS NULL
    RETURNING t.id, t.attempts, t.worker_id
)
INSERT INTO logs (task_id, event, attempt, worker_id, level) SELECT id, 'completed', attempts, worker_id, 'info' FROM f RETURNING id, task_id::text, event
