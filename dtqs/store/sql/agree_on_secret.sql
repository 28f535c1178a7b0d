-- `dtqs api`, at its start. This host's secret becomes the one in use. It stays as it is while an API on another host
-- was seen within 15 seconds and uses another secret.
INSERT INTO settings (name, value)
VALUES ('api_secret', json_build_object('fingerprint', %(fingerprint)s::text, 'host', %(host)s::text)::jsonb)
ON CONFLICT (name) DO UPDATE
SET value = excluded.value, updated_at = now()
WHERE settings.value ->> 'fingerprint' = excluded.value ->> 'fingerprint' OR NOT EXISTS (
    SELECT FROM counters
    WHERE role = 'api' AND node_name <> excluded.value ->> 'host' AND updated_at > now() - interval '15 s'
)
RETURNING 1
