-- Finish: the lease row is hold, fence and lock. Every task of it is settled, each with a log row.
WITH lease AS MATERIALIZED (
    DELETE FROM leases
    WHERE id = %(lease_id)s::uuid
    RETURNING worker_id, started_at, task_ids, effect
),
settled AS MATERIALIZED (
    SELECT
        lease.worker_id,
        lease.started_at,
        leased.id,
        coalesce(given.outcome, CASE lease.effect WHEN 'fail' THEN 'failed' ELSE 'unspent' END) outcome,
        given.result,
        coalesce(given.delay, 0) delay
    FROM lease
    CROSS JOIN unnest(lease.task_ids) leased(id)
    LEFT JOIN unnest(
        %(ids)s::text::uuid[], %(outcomes)s::text[], %(results)s::text[], %(delays)s::float8[]
    ) given(id, outcome, result, delay) ON given.id = leased.id
    ORDER BY leased.id
),
updated AS (
    UPDATE tasks SET
        attempts = tasks.attempts + (settled.outcome <> 'unspent')::int,
        result = CASE WHEN settled.outcome = 'completed' THEN settled.result::jsonb END,
        error = CASE
            WHEN settled.outcome IN ('failed', 'retry') THEN settled.result::jsonb
            WHEN settled.outcome = 'unspent' THEN tasks.error
        END,
        started_at = CASE WHEN settled.outcome = 'unspent' THEN tasks.started_at ELSE settled.started_at END,
        worker_id = CASE WHEN settled.outcome = 'unspent' THEN tasks.worker_id ELSE settled.worker_id END,
        finished_at = CASE
            WHEN settled.outcome IN ('completed', 'failed')
                OR tasks.cancel_requested_at IS NOT NULL
                OR settled.outcome = 'retry' AND tasks.attempts >= tasks.max_retries
            THEN now()
        END,
        outcome = CASE
            WHEN settled.outcome IN ('completed', 'failed') THEN settled.outcome
            WHEN tasks.cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN settled.outcome = 'retry' AND tasks.attempts >= tasks.max_retries THEN 'failed'
        END
    FROM settled
    WHERE tasks.id = settled.id
        AND tasks.outcome IS NULL
    RETURNING
        tasks.id,
        tasks.task_type,
        tasks.light AND tasks.attempts = 0 light,
        tasks.priority,
        tasks.outcome,
        tasks.attempts,
        tasks.worker_id,
        settled.delay
),
retried AS (
    INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)
    SELECT id, task_type, light, priority, now() + delay * interval '1s', now() + delay * interval '1s'
    FROM updated
    WHERE outcome IS NULL
)
INSERT INTO logs (task_id, event, attempt, worker_id, level)
SELECT id, coalesce(outcome, 'pending'), attempts, worker_id, 'info'
FROM updated
RETURNING id, task_id::text, event
