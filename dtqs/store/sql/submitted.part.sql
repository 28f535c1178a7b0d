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
