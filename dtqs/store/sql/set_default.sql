-- The first who needs a setting writes it; all others read his.
INSERT INTO settings (name, value) VALUES (%(name)s, %(value)s::jsonb) ON CONFLICT (name) DO NOTHING
