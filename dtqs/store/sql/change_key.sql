-- `dtqs key change`: set the named ceilings, and leave the others.
UPDATE api_keys SET
    max_priority = CASE
        WHEN 'max_priority' = ANY (%(named)s::text[]) THEN %(max_priority)s::smallint
        ELSE max_priority END,
    max_pending = CASE
        WHEN 'max_pending' = ANY (%(named)s::text[]) THEN %(max_pending)s::integer
        ELSE max_pending END,
    max_upload_bytes = CASE
        WHEN 'max_upload_bytes' = ANY (%(named)s::text[]) THEN %(max_upload_bytes)s::bigint
        ELSE max_upload_bytes END,
    max_timeout_seconds = CASE
        WHEN 'max_timeout_seconds' = ANY (%(named)s::text[]) THEN %(max_timeout_seconds)s::float8
        ELSE max_timeout_seconds END,
    task_types = CASE
        WHEN 'task_types' = ANY (%(named)s::text[]) THEN %(task_types)s::text[]
        ELSE task_types END
WHERE (name = %(name)s OR id::text = %(name)s) AND revoked_at IS NULL
RETURNING id::text, name, scopes, {ceilings}
