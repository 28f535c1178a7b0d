-- A worker ends a lease whose tasks are all completed without files. Most leases end so, and this costs two thirds of
-- finish.sql. No row comes back if the lease is gone or holds other tasks: finish.sql tells which.
-- Locks: the lease, then the tasks in the order of their ids.
{completed}
    RETURNING task.id, task.attempts, task.worker_id
)
INSERT INTO logs (task_id, event, attempt, worker_id, level)
SELECT id, 'completed', attempts, worker_id, 'info'
FROM settled
RETURNING id, task_id::text, event
