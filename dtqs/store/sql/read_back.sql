-- A worker, after each heartbeat: the leases that the database has for it, and their tasks with a cancel request.
SELECT
    lease.id::text,
    ARRAY(
        SELECT task.id::text
        FROM tasks task
        WHERE task.id = ANY (lease.task_ids) AND task.cancel_requested_at IS NOT NULL
    )
FROM leases lease
WHERE lease.worker_id = %(worker_id)s::uuid
