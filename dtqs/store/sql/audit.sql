-- The audit of law 3, for a batch of tasks. A task without an outcome is in exactly one place, one with an outcome in
-- none. It is one statement because it needs one snapshot.
WITH task AS MATERIALIZED (
    SELECT id, outcome
    FROM tasks
    WHERE id > %(after)s::uuid
    ORDER BY id
    LIMIT %(limit)s
),
held AS MATERIALIZED (
    SELECT
        member.id,
        count(*) AS leases,
        count(*) FILTER (WHERE worker.dead_at IS NULL AND worker.id IS NOT NULL) AS live
    FROM leases lease
    LEFT JOIN workers worker ON worker.id = lease.worker_id
    CROSS JOIN unnest(lease.task_ids) member(id)
    GROUP BY member.id
)
SELECT
    task.id::text,
    task.outcome,
    (waiting.task_id IS NOT NULL)::int,
    coalesce(held.leases, 0),
    coalesce(held.live, 0)
FROM task
LEFT JOIN LATERAL (SELECT task_id FROM backlog WHERE task_id = task.id OFFSET 0) waiting ON true
LEFT JOIN held ON held.id = task.id
ORDER BY task.id
