-- `dtqs api`, at its start and before a reload. This host's secret becomes the one in use. It stays as it is while an
-- API on another host was seen within `seen_seconds` and uses another secret.
INSERT INTO settings (name, value)
VALUES ('api_secret', json_build_object('fingerprint', %(fingerprint)s::text, 'host', %(host)s::text)::jsonb)
ON CONFLICT (name) DO UPDATE
SET value = excluded.value, updated_at = now()
WHERE settings.value ->> 'fingerprint' = excluded.value ->> 'fingerprint' OR NOT EXISTS (
    SELECT FROM counters
    WHERE role = 'api' AND node_name <> excluded.value ->> 'host'
        AND updated_at > now() - make_interval(secs => %(seen_seconds)s)
)
RETURNING 1
