-- A person's retry: a new task that names the failed or cancelled one and belongs to the same owner. A second call
-- inserts nothing. It takes over retries and time limit, up to today's maximum. NULL is the time limit of the type.
WITH task AS (
    INSERT INTO tasks (
        id, task_type, light, payload, priority, max_retries, timeout_seconds, tags, submitted_by, retry_of,
        origin
    )
    SELECT
        %(id)s::uuid, task_type, light, payload, priority,
        least(max_retries, %(max_retries)s::int),
        CASE
            WHEN timeout_seconds IS NULL THEN %(default_timeout)s::float8
            ELSE least(timeout_seconds, %(max_timeout)s::float8) END,
        tags, submitted_by, id, %(origin)s::text
    FROM tasks
    WHERE id = %(retry_of)s::uuid AND outcome IN ('failed', 'cancelled')
    ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING
    RETURNING id, task_type, light, priority, submitted_by
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
SELECT
    id, task_type, light, priority, now(), now() + %(grace)s * interval '1 s',
    (SELECT key.id FROM api_keys key WHERE key.id = task.submitted_by AND key.max_pending IS NOT NULL)
FROM task
RETURNING task_id::text, task_type, light, priority, publish_at::text
