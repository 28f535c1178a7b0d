-- A logout ends a session for good, and API keys may have ceilings.
-- compatible: 3
-- locks: backlog, api_keys

CREATE TABLE ended_sessions (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_expires_at ON ended_sessions (expires_at);

-- Later databases of version 3 already have the ceilings.
ALTER TABLE backlog ADD COLUMN IF NOT EXISTS counted_for uuid;
CREATE INDEX IF NOT EXISTS backlog_counted_for ON backlog (counted_for) WHERE counted_for IS NOT NULL;
ALTER TABLE api_keys
    ADD COLUMN IF NOT EXISTS max_priority smallint,
    ADD COLUMN IF NOT EXISTS max_pending integer,
    ADD COLUMN IF NOT EXISTS max_upload_bytes bigint,
    ADD COLUMN IF NOT EXISTS max_timeout_seconds double precision,
    ADD COLUMN IF NOT EXISTS task_types text[];
