-- The API, at a logout: the session's cookie is worth nothing from here on, whoever has a copy of it.
INSERT INTO ended_sessions (id, expires_at) VALUES (%(session_id)s::uuid, to_timestamp(%(expires_at)s)) ON CONFLICT (id) DO NOTHING
