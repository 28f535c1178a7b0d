-- DTQS: the whole schema, as `dtqs migrate` makes it in an empty database. version: 14
-- The files in migrations/ bring a database of an earlier version here. docs/schema.md explains how to change both.
-- docs/architecture.md gives the reasons for each table.

-- One row per accepted task, written at submit and when an attempt ends. Between the two, the task's backlog row or
-- lease tells where it is. The update at the end of an attempt must stay heap-only (HOT). So no index may mention a
-- column that it changes, not even in a predicate. Two thirds of each page stay free, since the row grows. With half of
-- each page free, a third of the updates did not fit, and the table was no smaller.
CREATE TABLE tasks (
    id uuid PRIMARY KEY,                                    -- UUIDv7: sorts by the time of the submit
    task_type text NOT NULL,
    light boolean NOT NULL,
    payload json NOT NULL,                                  -- jsonb would change numbers (1e16, -0.0) and key order
    priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    max_retries smallint NOT NULL DEFAULT 5,
    attempts smallint NOT NULL DEFAULT 0,                   -- attempts spent
    outcome text CHECK (outcome IN ('completed', 'failed', 'cancelled')),
    result json,
    error json,                                             -- the error of the last failed attempt
    worker_id uuid,                                         -- the worker of the last spent attempt
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz,                                     -- as submitted; null: at once
    started_at timestamptz,
    finished_at timestamptz,
    cancel_requested_at timestamptz,
    timeout_seconds double precision,
    tags text[],
    submitted_by uuid,                                      -- the API key; null without authentication
    retry_of uuid,                                          -- the failed or cancelled task that this one repeats
    deaths smallint NOT NULL DEFAULT 0,                     -- attempts that ended because their worker process died
    origin text,                                            -- id of the submit's request, then its trace if it had one
    losses smallint NOT NULL DEFAULT 0                      -- runs that ended with their node or heartbeat; no attempt
) WITH (
    fillfactor = 35,
    -- Not before there are thousands of rows: a plan for few rows scans them all, and is kept while they become many.
    autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_threshold = 10000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    -- A pending task is written again, so a vacuum after inserts alone is work for nothing. Other vacuums pause between
    -- their pages. Without pauses they took half of two cores for 2 s of each minute under load.
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 400
);
CREATE UNIQUE INDEX tasks_retry_of ON tasks (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX tasks_tags ON tasks USING gin (tags) WHERE tags IS NOT NULL;

-- One narrow row per unclaimed task, with the time of its next publish.
CREATE TABLE backlog (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    light boolean NOT NULL,
    priority smallint NOT NULL,
    due_at timestamptz NOT NULL,
    publish_at timestamptz NOT NULL,
    published_at timestamptz,                               -- the last confirmed publish, or attempt of a relay
    publishes smallint NOT NULL DEFAULT 0,                  -- by relays since the last confirm; each delays the next
    counted_for uuid                                        -- the API key whose max_pending counts this row
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 400
);
CREATE INDEX backlog_publish_at ON backlog (publish_at);
-- Tasks of keys without max_pending have no entry here, so they cost nothing.
CREATE INDEX backlog_counted_for ON backlog (counted_for) WHERE counted_for IS NOT NULL;

-- One row per claim. While it exists, its worker alone may run and settle the tasks.
-- A lease is inserted and deleted; its task_ids never change. Each insert first locks the worker's row.
CREATE TABLE leases (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    task_ids uuid[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    effect text CHECK (effect IN ('retry', 'fail'))         -- an effect began: what to do if its end is unknown
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX leases_worker_id ON leases (worker_id);

-- The history of each task, in the order of the commits. Each day is a partition, so old days are dropped whole.
CREATE TABLE logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,                                    -- a status, progress or log
    attempt smallint,
    worker_id uuid,
    level text NOT NULL,
    message text,
    data json                                               -- progress, an attempt's error, or fields of a log call
) PARTITION BY RANGE (at);
CREATE INDEX logs_task_id ON logs (task_id, id);
CREATE INDEX logs_at ON logs USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

-- One row per worker process. The id is new for each process, since host names and pids repeat.
CREATE TABLE workers (
    id uuid PRIMARY KEY,
    node_id uuid NOT NULL,
    boot_id uuid NOT NULL,                                  -- new at each start of the supervisor
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
    dead_at timestamptz,
    task_types text[],                                      -- the types it runs; null: code older than version 6
    queues text[]                                           -- the queues it consumes; null: code older than version 10
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Dead rows stay for a day, and a pool whose workers live shortly leaves many. Heartbeats change no indexed column, so
-- they stay heap-only (HOT).
CREATE INDEX workers_living ON workers (id) WHERE dead_at IS NULL;
CREATE INDEX workers_dead_at ON workers (dead_at) WHERE dead_at IS NOT NULL;

-- One row per process with its totals so far, written with its heartbeat. Rates are differences of two readings.
-- A keeper adds the rows of processes that are gone to one row, whose id is all zeros.
CREATE TABLE counters (
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
    updated_at timestamptz NOT NULL DEFAULT now(),
    metrics jsonb,                                          -- the counts of dtqs/tally.py, for /metrics
    routes text                                             -- its [routes] as one line; null: it has ended, or is old
) WITH (fillfactor = 50);

-- The counts of silent processes that a keeper added to the row `folded` of counters. One that comes back takes them
-- out of it again.
CREATE TABLE folded_counters (
    process_id uuid NOT NULL,
    submitted bigint NOT NULL,
    claimed bigint NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    retried bigint NOT NULL,
    given_back bigint NOT NULL,
    published bigint NOT NULL,
    reclaimed bigint NOT NULL,
    metrics jsonb,
    folded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX folded_counters_process_id ON folded_counters (process_id);
CREATE INDEX folded_counters_folded_at ON folded_counters (folded_at);

-- One row per failed or cancelled task. Lists of such tasks read this table.
CREATE TABLE failures (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    outcome text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX failures_outcome ON failures (outcome, task_id);

CREATE TABLE idempotency_keys (
    api_key_id uuid NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    task_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (api_key_id, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- Only the hash of a key is stored. A key has 256 random bits, so one round of SHA-256 is enough.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    max_priority smallint,                                  -- this and the following: ceilings; null: no ceiling
    max_pending integer,
    max_upload_bytes bigint,
    max_timeout_seconds double precision,
    task_types text[]
);
CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;

-- Browser sessions ended by a logout, kept until they would have expired. Running sessions are stored nowhere.
CREATE TABLE ended_sessions (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_expires_at ON ended_sessions (expires_at);

CREATE TABLE settings (
    name text PRIMARY KEY,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- An older `dtqs migrate` must not set the version back. Its code cannot change any more, so the database refuses it:
-- its whole transaction fails.
CREATE FUNCTION keep_schema_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'schema_version' AND NEW.value::int < OLD.value::int THEN
        RAISE EXCEPTION 'the schema of this database has version %, and this dtqs migrate would set it back to %: '
            'update DTQS on this host', OLD.value, NEW.value;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_schema_version BEFORE UPDATE ON settings
FOR EACH ROW EXECUTE FUNCTION keep_schema_version();

-- The state of rate limits. The table is unlogged: a crash of the server empties it, so each limit starts unused.
CREATE UNLOGGED TABLE rates (
    key text PRIMARY KEY,
    free_at timestamptz NOT NULL,
    promised_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX rates_free_at ON rates (free_at);

-- Rules that submit tasks by the clock.
CREATE TABLE schedules (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    rule text NOT NULL,
    task_type text NOT NULL,
    payload json NOT NULL,
    next_at timestamptz,
    submitted_by uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Uploads and outputs. A keeper deletes stored files that have no row here.
CREATE TABLE files (
    id uuid PRIMARY KEY,
    task_id uuid,                                           -- the task that made this output; null: an upload
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    submitted_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    kept_from timestamptz NOT NULL DEFAULT now()            -- start of its retention: stored, or last task due
);
CREATE INDEX files_task_id ON files (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX files_kept_from ON files (kept_from);

-- Each task with its status and, while it runs, its worker.
-- The short aliases stay: migration 008 creates the same view, and a test compares the two definitions.
CREATE VIEW task_status AS
SELECT t.id, t.task_type,
    coalesce(t.outcome, CASE WHEN b.task_id IS NULL THEN 'in_progress' ELSE 'pending' END) AS status,
    t.priority, t.attempts, t.attempts + (l.id IS NOT NULL)::int AS attempt, t.max_retries,
    t.payload, t.result, t.error, t.tags, t.retry_of,
    t.created_at, coalesce(b.due_at, t.due_at) AS due_at, coalesce(l.started_at, t.started_at) AS started_at,
    t.finished_at,
    coalesce(l.worker_id, t.worker_id) AS worker_id, t.cancel_requested_at, t.timeout_seconds, t.light, t.submitted_by,
    split_part(t.origin, ' ', 1) AS request_id
FROM tasks t
LEFT JOIN LATERAL (SELECT task_id, due_at FROM backlog WHERE task_id = t.id OFFSET 0) b ON true
LEFT JOIN LATERAL (
    SELECT l.id, l.worker_id, l.started_at
    FROM leases l
    WHERE t.outcome IS NULL AND b.task_id IS NULL AND t.id = ANY (l.task_ids)
    LIMIT 1
) l ON true;

-- Create one day's partition of logs, then attach it: finishes wait only for the attach. Days are UTC days.
-- Its rows never change and it is dropped whole, so autovacuum stays off: it would only free the ends of pages and
-- scatter the next rows among them.
CREATE FUNCTION make_logs_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part text := 'logs_' || to_char(day, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('dtqs'), hashtext('logs'));
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS) '
            'WITH (autovacuum_vacuum_insert_threshold = -1)', part);
        EXECUTE format('ALTER TABLE logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    END IF;
END $$;

SELECT make_logs_partition((now() AT TIME ZONE 'UTC')::date + d) FROM generate_series(-1, 7) AS d;
