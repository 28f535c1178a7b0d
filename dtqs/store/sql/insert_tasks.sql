-- The API stores a group of submits. If it is repeated after a lost reply, it changes nothing: backlog rows are made
-- only for the tasks that this insert returns.
WITH task AS (
    INSERT INTO tasks (
        id, task_type, light, payload, priority, max_retries, timeout_seconds, due_at, tags, submitted_by,
        origin
    )
    SELECT
        id, task_type, light, payload::json, priority, max_retries, timeout_seconds,
        coalesce(due_at, now() + delay_seconds * interval '1 s'),
        tags::text[], submitted_by, origin
    FROM unnest(
        %(ids)s::text::uuid[], %(types)s::text[], %(lights)s::bool[], %(payloads)s::text[], %(priorities)s::smallint[],
        %(retries)s::smallint[], %(timeouts)s::float8[], %(due_ats)s::timestamptz[], %(delays)s::float8[],
        %(tags)s::text[], %(owners)s::uuid[], %(origins)s::text[]
    ) submitted(
        id, task_type, light, payload, priority, max_retries, timeout_seconds, due_at, delay_seconds, tags,
        submitted_by, origin
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id, task_type, light, priority, due_at, submitted_by
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
SELECT
    id, task_type, light, priority, coalesce(due_at, now()),
    coalesce(CASE WHEN due_at > now() THEN due_at END, now() + %(grace)s * interval '1 s'),
    CASE WHEN submitted_by = ANY (%(counted)s::text::uuid[]) THEN submitted_by END
FROM task
RETURNING task_id::text, publish_at::text, (due_at <= now())::text
