-- `dtqs key create`.
INSERT INTO api_keys (id, name, hash, scopes, {ceilings})
VALUES (
    %(id)s::uuid, %(name)s, %(hash)s, %(scopes)s::text[],
    %(max_priority)s, %(max_pending)s, %(max_upload_bytes)s, %(max_timeout_seconds)s, %(task_types)s::text[]
)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING 1
