-- The API, at a logout. From here on every copy of the session's cookie is refused.
INSERT INTO ended_sessions (id, expires_at)
VALUES (%(session_id)s::uuid, to_timestamp(%(expires_at)s))
ON CONFLICT (id) DO NOTHING
