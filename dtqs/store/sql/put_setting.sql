-- `dtqs migrate`: the version of the schema.
INSERT INTO settings (name, value)
VALUES (%(name)s, %(value)s::jsonb)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
