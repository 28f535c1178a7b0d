-- The API, for the session of a browser: is the key that it was begun with still good, and has nobody logged out?
SELECT id::text, name, scopes, {ceilings} FROM api_keys WHERE id = %(id)s::uuid AND revoked_at IS NULL
    AND NOT EXISTS (SELECT FROM ended_sessions WHERE ended_sessions.id = %(session_id)s::uuid)
