-- Each process that signs or checks outcomes in events, once. The first one makes the key.
INSERT INTO settings (name, value)
VALUES ('event_key', to_jsonb(%(offered)s::text))
ON CONFLICT (name) DO UPDATE SET updated_at = settings.updated_at
RETURNING value
