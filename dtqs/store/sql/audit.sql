-- The audit of law 3, for a batch of tasks. A task without an outcome is in exactly one place, one with an outcome in
-- none. It is one statement because it needs one snapshot. It returns the tasks that break the law and the last task of
-- the batch: millions of rows would keep the client busy.
WITH task AS MATERIALIZED (
    SELECT id, outcome
    FROM tasks
    WHERE id > %(after)s::uuid AND id <= %(until)s::uuid
    ORDER BY id
    LIMIT %(limit)s
),
waiting AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id > %(after)s::uuid AND task_id <= (SELECT id FROM task ORDER BY id DESC LIMIT 1)
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
),
placed AS MATERIALIZED (
    SELECT
        task.id,
        task.outcome,
        (task.id IN (SELECT task_id FROM waiting))::int AS waits,
        coalesce(held.leases, 0) AS leases,
        coalesce(held.live, 0) AS live
    FROM task
    LEFT JOIN held ON held.id = task.id
)
SELECT id::text, outcome, waits, leases, live, (SELECT count(*) FROM task)
FROM placed
WHERE (outcome IS NULL AND (waits + leases <> 1 OR live <> leases))
    OR (outcome IS NOT NULL AND waits + leases > 0)
    OR id = (SELECT id FROM task ORDER BY id DESC LIMIT 1)
ORDER BY id
