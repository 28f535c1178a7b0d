-- A reclaim, first of two statements of one transaction: mark a worker dead, which voids its leases. Its heartbeat must
-- still be the one that the keeper saw; `seen` is null if its process is known to be gone. FOR UPDATE makes this wait
-- for a claim in flight; a plain UPDATE would not.
UPDATE workers
SET dead_at = now(), state = 'gone', task_id = NULL
WHERE id = (
    SELECT id
    FROM workers
    WHERE id = %(worker_id)s::uuid
        AND dead_at IS NULL
        AND (%(seen)s::timestamptz IS NULL OR heartbeat_at = %(seen)s::timestamptz)
    FOR UPDATE
)
RETURNING id::text
