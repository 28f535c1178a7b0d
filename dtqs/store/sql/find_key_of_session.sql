-- The API, for a browser's session: its key, unless the key was revoked or the session ended by a logout.
SELECT id::text, name, scopes, {ceilings}
FROM api_keys
WHERE id = %(id)s::uuid
    AND revoked_at IS NULL
    AND NOT EXISTS (SELECT FROM ended_sessions WHERE ended_sessions.id = %(session_id)s::uuid)
