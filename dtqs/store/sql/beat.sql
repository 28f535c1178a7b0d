-- A worker's heartbeat. It is a plain update, so claims and heartbeats never wait for each other. The commit does not
-- wait for the disk: a crash of the server may lose the last heartbeats, and nothing depends on those.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE workers SET
    heartbeat_at = now(),
    state = %(state)s,
    task_id = %(task_id)s::uuid,
    task_type = %(task_type)s,
    task_started_at = now() - %(busy_seconds)s::float8 * interval '1 s',
    memory_bytes = %(memory_bytes)s,
    completed = %(completed)s,
    failed = %(failed)s
FROM quick
WHERE id = %(worker_id)s::uuid AND dead_at IS NULL
RETURNING 1
