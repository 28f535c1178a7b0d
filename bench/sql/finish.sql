-- Finish: the lease row is hold, fence and lock; every task of it is settled, each with a log row.
WITH mine AS MATERIALIZED (DELETE FROM leases WHERE id = %(lease_id)s::uuid RETURNING worker_id, started_at, task_ids, effect),
k AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, u.id, coalesce(x.o, CASE mine.effect WHEN 'fail' THEN 'failed' ELSE 'unspent' END) o, x.r, coalesce(x.d, 0) d
    FROM mine CROSS JOIN unnest(mine.task_ids) u(id)
    LEFT JOIN unnest(%(ids)s::text::uuid[], %(outcomes)s::text[], %(results)s::text[], %(delays)s::float8[]) x(i, o, r, d) ON x.i = u.id ORDER BY u.id
),
f AS (
    UPDATE tasks t SET
        attempts = t.attempts + (k.o <> 'unspent')::int,
        result = CASE WHEN k.o = 'completed' THEN k.r::jsonb END,
        error = CASE WHEN k.o IN ('failed', 'retry') THEN k.r::jsonb WHEN k.o = 'unspent' THEN t.error END,
        started_at = CASE WHEN k.o = 'unspent' THEN t.started_at ELSE k.started_at END,
        worker_id = CASE WHEN k.o = 'unspent' THEN t.worker_id ELSE k.worker_id END,
        finished_at = CASE WHEN k.o IN ('completed', 'failed') OR t.cancel_requested_at IS NOT NULL OR k.o = 'retry' AND t.attempts >= t.max_retries THEN now() END,
        outcome = CASE WHEN k.o IN ('completed', 'failed') THEN k.o WHEN t.cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN k.o = 'retry' AND t.attempts >= t.max_retries THEN 'failed' END
    FROM k WHERE t.id = k.id AND t.outcome IS NULL
    RETURNING t.id, t.task_type, t.light AND t.attempts = 0 light, t.priority, t.outcome, t.attempts, t.worker_id, k.d
),
b AS (
    INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)
    SELECT id, task_type, light, priority, now() + d * interval '1s', now() + d * interval '1s' FROM f WHERE outcome IS NULL
)
INSERT INTO logs (task_id, event, attempt, worker_id, level)
SELECT id, coalesce(outcome, 'pending'), attempts, worker_id, 'info' FROM f RETURNING id, task_id::text, event
