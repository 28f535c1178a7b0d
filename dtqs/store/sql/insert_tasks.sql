-- The API stores a group of submits. Said again after a lost reply it changes nothing, and backlog rows come only for what this insert returns.
WITH t AS (
    INSERT INTO tasks (id, task_type, light, payload, priority, max_retries, timeout_seconds, due_at, tags, submitted_by)
    SELECT i, y, l, p::json, r, m, o, coalesce(a, now() + w * interval '1 s'), g::text[], s
    FROM unnest(%(ids)s::text::uuid[], %(types)s::text[], %(lights)s::bool[], %(payloads)s::text[], %(priorities)s::smallint[], %(retries)s::smallint[], %(timeouts)s::float8[],
        %(due_ats)s::timestamptz[], %(delays)s::float8[], %(tags)s::text[], %(owners)s::uuid[]) x(i, y, l, p, r, m, o, a, w, g, s)
    ON CONFLICT (id) DO NOTHING RETURNING id, task_type, light, priority, due_at, submitted_by
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
SELECT id, task_type, light, priority, coalesce(due_at, now()),
    coalesce(CASE WHEN due_at > now() THEN due_at END, now() + %(grace)s * interval '1 s'),
    CASE WHEN submitted_by = ANY (%(counted)s::text::uuid[]) THEN submitted_by END
FROM t
RETURNING task_id::text, publish_at::text, (due_at <= now())::text
