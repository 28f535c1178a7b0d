-- `dtqs api` at its start: this host's secret is the one in use, unless an API on another host has just been seen with another one.
INSERT INTO settings (name, value) VALUES ('api_secret', json_build_object('fingerprint', %(fingerprint)s::text, 'host', %(host)s::text)::jsonb)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
    WHERE settings.value ->> 'fingerprint' = excluded.value ->> 'fingerprint' OR NOT EXISTS (
        SELECT FROM counters WHERE role = 'api' AND node_name <> excluded.value ->> 'host' AND updated_at > now() - interval '15 s'
    )
RETURNING 1
