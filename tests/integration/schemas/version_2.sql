-- DTQS: the only DDL. Idempotent; applied by `dtqs migrate` in one transaction, which then records the version in `settings`.
-- docs/architecture.md says why each table is as it is. version: 2

-- One row per accepted task, written at submit and when an attempt ends. Where a task is between the two (backlog or lease) is not written here.
-- No index may mention a column that a finish changes, not even in its predicate, and two thirds of each page stay free (the row grows; with half,
-- a third of the updates did not fit, and the table was no smaller): so that update stays heap-only.
CREATE TABLE IF NOT EXISTS tasks (
    id uuid PRIMARY KEY,                                    -- UUIDv7: sorts by the time of the submit
    task_type text NOT NULL,
    light boolean NOT NULL,
    payload jsonb NOT NULL,
    priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    max_retries smallint NOT NULL DEFAULT 5,
    attempts smallint NOT NULL DEFAULT 0,                   -- those spent
    outcome text CHECK (outcome IN ('completed', 'failed', 'cancelled')),
    result jsonb,
    error jsonb,                                            -- of the last attempt that failed
    worker_id uuid,                                         -- who ran the last spent attempt
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz,                                     -- as asked at submit; null: at once
    started_at timestamptz,
    finished_at timestamptz,
    cancel_requested_at timestamptz,
    timeout_seconds double precision,
    tags text[],
    submitted_by uuid,                                      -- the API key; null with auth off
    retry_of uuid,                                          -- the failed or cancelled task that a person's retry names
    deaths smallint NOT NULL DEFAULT 0                      -- attempts that ended with the death of their worker
) WITH (fillfactor = 35, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS deaths smallint NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX IF NOT EXISTS tasks_retry_of ON tasks (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_tags ON tasks USING gin (tags) WHERE tags IS NOT NULL;

-- One narrow row per unclaimed task, with the time of its next publish.
CREATE TABLE IF NOT EXISTS backlog (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    light boolean NOT NULL,
    priority smallint NOT NULL,
    due_at timestamptz NOT NULL,
    publish_at timestamptz NOT NULL,
    published_at timestamptz,                               -- the last publish that was confirmed, or tried by a relay
    publishes smallint NOT NULL DEFAULT 0                   -- by relays: the more, the rarer
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX IF NOT EXISTS backlog_publish_at ON backlog (publish_at);

-- One row per claim: hold, fence and lock in one. Inserted and deleted, never cut; whoever inserts one locks its worker's row first.
CREATE TABLE IF NOT EXISTS leases (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    task_ids uuid[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    effect text CHECK (effect IN ('retry', 'fail'))         -- an outside effect began: what to do when nobody knows how it went
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX IF NOT EXISTS leases_worker_id ON leases (worker_id);

-- What happened, per task in the order of its commits. A day a partition: old ones are dropped whole.
CREATE TABLE IF NOT EXISTS logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,                                    -- a status, or progress, or log
    attempt smallint,
    worker_id uuid,
    level text NOT NULL,
    message text,
    data jsonb                                              -- progress; an attempt's error; what the processor logged
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS logs_task_id ON logs (task_id, id);
CREATE INDEX IF NOT EXISTS logs_at ON logs USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

-- One row per worker process, ever fresh: host names and pids repeat, ids do not.
CREATE TABLE IF NOT EXISTS workers (
    id uuid PRIMARY KEY,
    node_id uuid NOT NULL,
    boot_id uuid NOT NULL,                                  -- fresh per start of the supervisor
    node_name text NOT NULL,
    pool text NOT NULL,
    slot integer NOT NULL,
    pid integer NOT NULL,
    state text NOT NULL,                                    -- ready, busy, draining, gone
    task_id uuid,
    task_type text,
    task_started_at timestamptz,
    memory_bytes bigint,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    dead_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One row per process with its totals so far, written with its heartbeat: rates are differences of two readings.
-- The rows of processes that are gone are folded into the one whose id is all zeros.
CREATE TABLE IF NOT EXISTS counters (
    process_id uuid PRIMARY KEY,
    role text NOT NULL,                                     -- api, worker, keeper, folded
    node_name text NOT NULL,
    submitted bigint NOT NULL DEFAULT 0,
    claimed bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    given_back bigint NOT NULL DEFAULT 0,
    published bigint NOT NULL DEFAULT 0,
    reclaimed bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Written with an outcome of failed or cancelled only: these are listed from here.
CREATE TABLE IF NOT EXISTS failures (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    outcome text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS failures_outcome ON failures (outcome, task_id);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    api_key_id uuid NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    task_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (api_key_id, key)
);
CREATE INDEX IF NOT EXISTS idempotency_keys_created_at ON idempotency_keys (created_at);

-- Only the hash of a key is kept: a key is 256 random bits, so one round of SHA-256 is enough.
CREATE TABLE IF NOT EXISTS api_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;

CREATE TABLE IF NOT EXISTS settings (
    name text PRIMARY KEY,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Turns of rate limits. Not logged: after a crash of the server every limit is unused, which is all that is lost.
CREATE UNLOGGED TABLE IF NOT EXISTS rates (
    key text PRIMARY KEY,
    free_at timestamptz NOT NULL,
    promised_at timestamptz NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE rates DROP COLUMN IF EXISTS taken;
CREATE INDEX IF NOT EXISTS rates_free_at ON rates (free_at);

-- Rules that submit tasks by the clock.
CREATE TABLE IF NOT EXISTS schedules (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    rule text NOT NULL,
    task_type text NOT NULL,
    payload jsonb NOT NULL,
    next_at timestamptz,
    submitted_by uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Uploads and outputs. What lies in the store without a row here is swept.
CREATE TABLE IF NOT EXISTS files (
    id uuid PRIMARY KEY,
    task_id uuid,                                           -- whose output it is; null: an upload
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    submitted_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    kept_from timestamptz NOT NULL DEFAULT now()            -- when its retention begins: as it is stored, or as the last task that names it is due
);
ALTER TABLE files ADD COLUMN IF NOT EXISTS kept_from timestamptz NOT NULL DEFAULT now();
CREATE INDEX IF NOT EXISTS files_task_id ON files (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS files_kept_from ON files (kept_from);
DROP INDEX IF EXISTS files_created_at;

-- Every task with its status, and where it runs while it runs.
CREATE OR REPLACE VIEW task_status AS
SELECT t.id, t.task_type,
    coalesce(t.outcome, CASE WHEN b.task_id IS NULL THEN 'in_progress' ELSE 'pending' END) AS status,
    t.priority, t.attempts, t.attempts + (l.id IS NOT NULL)::int AS attempt, t.max_retries, t.payload, t.result, t.error, t.tags, t.retry_of,
    t.created_at, coalesce(b.due_at, t.due_at) AS due_at, coalesce(l.started_at, t.started_at) AS started_at, t.finished_at,
    coalesce(l.worker_id, t.worker_id) AS worker_id, t.cancel_requested_at, t.timeout_seconds, t.light, t.submitted_by
FROM tasks t
LEFT JOIN backlog b ON b.task_id = t.id
LEFT JOIN LATERAL (
    SELECT l.id, l.worker_id, l.started_at FROM leases l WHERE t.outcome IS NULL AND b.task_id IS NULL AND t.id = ANY (l.task_ids) LIMIT 1
) l ON true;

-- Make one day's partition of logs: apart, then attached, so that finishes wait for a moment only. Days are UTC days.
CREATE OR REPLACE FUNCTION make_logs_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part text := 'logs_' || to_char(day, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('dtqs'), hashtext('logs'));
    IF to_regclass(part) IS NULL THEN
        -- nothing in it is changed, and it is dropped whole: a vacuum would only free the ends of pages, and scatter what comes next among them
        EXECUTE format('CREATE TABLE %I (LIKE logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (autovacuum_vacuum_insert_threshold = -1)', part);
        EXECUTE format('ALTER TABLE logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    END IF;
END $$;

SELECT make_logs_partition((now() AT TIME ZONE 'UTC')::date + d) FROM generate_series(-1, 7) AS d;
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT c.oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'logs'::regclass AND c.reloptions IS NULL LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_threshold = -1)', part);
    END LOOP;
END $$;

-- On a fresh database the planner believes that tasks is tiny, prepares a sequential scan and keeps that plan while the table grows; so every
-- statement here is one that an index serves. jit: a scan that must be made anyway looks dear enough to be compiled.
DO $$
BEGIN
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET enable_seqscan = off', current_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET jit = off', current_user, current_database());
    -- one plan for each prepared statement: else reads by id are planned anew each time, which takes longer than they do
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET plan_cache_mode = force_generic_plan', current_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET timezone = %L', current_user, current_database(), 'UTC');
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L', current_user, current_database(), '30s');
    -- a reclaim and a cancel need a new snapshot for their second statement, whatever the server's default is
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_isolation = %L', current_user, current_database(), 'read committed');
END $$;
