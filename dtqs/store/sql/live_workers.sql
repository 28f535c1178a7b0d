-- The doctor and tests: the workers that are not marked dead.
SELECT
    id::text, node_name, pool, slot, pid, state, task_id::text, task_type,
    extract(epoch FROM now() - heartbeat_at)::float8,
    task_types
FROM workers
WHERE dead_at IS NULL
ORDER BY node_name, pool, slot
