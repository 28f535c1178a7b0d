-- A worker that finds no key of the events. One of several workers makes it.
INSERT INTO settings (name, value)
VALUES ('event_key', to_jsonb(%(offered)s::text))
ON CONFLICT (name) DO NOTHING
RETURNING 1
