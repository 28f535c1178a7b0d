-- Claim: lock the worker row, then backlog rows in id order, then insert one lease.
WITH me AS MATERIALIZED (
    SELECT id
    FROM workers
    WHERE id = %(worker_id)s::uuid
        AND dead_at IS NULL
    FOR KEY SHARE
),
locked AS MATERIALIZED (
    SELECT backlog.task_id
    FROM backlog
    JOIN me ON true
    WHERE backlog.task_id = ANY (%(ids)s::text::uuid[])
        AND backlog.due_at <= now()
        AND (backlog.light OR %(named)s = 1)
    ORDER BY backlog.task_id
    FOR UPDATE OF backlog
),
deleted AS (
    DELETE FROM backlog
    USING locked
    WHERE backlog.task_id = locked.task_id
    RETURNING backlog.task_id
),
lease AS (
    INSERT INTO leases (id, worker_id, task_ids)
    SELECT %(lease_id)s::uuid, %(worker_id)s::uuid, array_agg(task_id)
    FROM deleted
    HAVING count(*) > 0
)
SELECT tasks.id::text, tasks.payload::text, tasks.attempts + 1
FROM deleted
JOIN tasks ON tasks.id = deleted.task_id
