-- DTQS: the only DDL. Idempotent; applied by `dtqs migrate` in one transaction, which then records the version in `settings`.
-- docs/architecture.md says why each table is as it is. version: 6

-- ALTER TABLE and CREATE INDEX wait for whoever writes to the table, or reads it, and all who come later wait behind them: also where IF NOT EXISTS
-- finds nothing to do. So these two look first; they go at the end.
CREATE OR REPLACE FUNCTION add_column(tab regclass, col text, definition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = tab AND attname = col AND NOT attisdropped) THEN
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', tab, col, definition);
    END IF;
END $$;
CREATE OR REPLACE FUNCTION add_index(index_name text, definition text, kind text DEFAULT 'INDEX') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(index_name) IS NULL THEN
        EXECUTE format('CREATE %s %I %s', kind, index_name, definition);
    END IF;
END $$;

-- One row per accepted task, written at submit and when an attempt ends. Where a task is between the two (backlog or lease) is not written here.
-- No index may mention a column that a finish changes, not even in its predicate, and two thirds of each page stay free (the row grows; with half,
-- a third of the updates did not fit, and the table was no smaller): so that update stays heap-only.
CREATE TABLE IF NOT EXISTS tasks (
    id uuid PRIMARY KEY,                                    -- UUIDv7: sorts by the time of the submit
    task_type text NOT NULL,
    light boolean NOT NULL,
    payload json NOT NULL,                                  -- not jsonb, which changes numbers (1e16, -0.0) and the order of keys
    priority smallint NOT NULL DEFAULT 5 CHECK (priority BETWEEN 0 AND 9),
    max_retries smallint NOT NULL DEFAULT 5,
    attempts smallint NOT NULL DEFAULT 0,                   -- those spent
    outcome text CHECK (outcome IN ('completed', 'failed', 'cancelled')),
    result json,
    error json,                                             -- of the last attempt that failed
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
    deaths smallint NOT NULL DEFAULT 0                      -- attempts whose worker process died alone
) WITH (fillfactor = 35, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
SELECT add_column('tasks', 'deaths', 'smallint NOT NULL DEFAULT 0');
SELECT add_index('tasks_retry_of', 'ON tasks (retry_of) WHERE retry_of IS NOT NULL', 'UNIQUE INDEX');
SELECT add_index('tasks_tags', 'ON tasks USING gin (tags) WHERE tags IS NOT NULL');

-- One narrow row per unclaimed task, with the time of its next publish.
CREATE TABLE IF NOT EXISTS backlog (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    light boolean NOT NULL,
    priority smallint NOT NULL,
    due_at timestamptz NOT NULL,
    publish_at timestamptz NOT NULL,
    published_at timestamptz,                               -- the last publish that was confirmed, or tried by a relay
    publishes smallint NOT NULL DEFAULT 0,                  -- by relays: the more, the rarer
    counted_for uuid                                        -- the API key whose max_pending counts this row; null: its key has none
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
SELECT add_column('backlog', 'counted_for', 'uuid');
SELECT add_index('backlog_publish_at', 'ON backlog (publish_at)');
-- Keys without that ceiling have no entry here, and pay nothing.
SELECT add_index('backlog_counted_for', 'ON backlog (counted_for) WHERE counted_for IS NOT NULL');

-- One row per claim: hold, fence and lock in one. Inserted and deleted, never cut; whoever inserts one locks its worker's row first.
CREATE TABLE IF NOT EXISTS leases (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    task_ids uuid[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    effect text CHECK (effect IN ('retry', 'fail'))         -- an outside effect began: what to do when nobody knows how it went
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
SELECT add_index('leases_worker_id', 'ON leases (worker_id)');

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
    data json                                               -- progress; an attempt's error; what the processor logged
) PARTITION BY RANGE (at);
SELECT add_index('logs_task_id', 'ON logs (task_id, id)');
SELECT add_index('logs_at', 'ON logs USING brin (at) WITH (pages_per_range = 32, autosummarize = on)');

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
    dead_at timestamptz,
    task_types text[]                                       -- those it does; null: a worker of before version 6
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
SELECT add_column('workers', 'task_types', 'text[]');

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
SELECT add_index('failures_outcome', 'ON failures (outcome, task_id)');

CREATE TABLE IF NOT EXISTS idempotency_keys (
    api_key_id uuid NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    task_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (api_key_id, key)
);
SELECT add_index('idempotency_keys_created_at', 'ON idempotency_keys (created_at)');

-- Only the hash of a key is kept: a key is 256 random bits, so one round of SHA-256 is enough.
CREATE TABLE IF NOT EXISTS api_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    max_priority smallint,                                  -- ceilings that the operator sets; null: none
    max_pending integer,
    max_upload_bytes bigint,
    max_timeout_seconds double precision,
    task_types text[]
);
SELECT add_column('api_keys', 'max_priority', 'smallint'), add_column('api_keys', 'max_pending', 'integer'),
    add_column('api_keys', 'max_upload_bytes', 'bigint'), add_column('api_keys', 'max_timeout_seconds', 'double precision'),
    add_column('api_keys', 'task_types', 'text[]');
SELECT add_index('api_keys_name', 'ON api_keys (name) WHERE revoked_at IS NULL', 'UNIQUE INDEX');

-- Sessions of browsers that ended by a logout, until they would have ended by themselves. Running sessions are stored nowhere.
CREATE TABLE IF NOT EXISTS ended_sessions (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
SELECT add_index('ended_sessions_expires_at', 'ON ended_sessions (expires_at)');

CREATE TABLE IF NOT EXISTS settings (
    name text PRIMARY KEY,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- An older `dtqs migrate` must not set the version back: here, since its code cannot be taught any more. Its transaction fails as a whole.
CREATE OR REPLACE FUNCTION keep_schema_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'schema_version' AND NEW.value::int < OLD.value::int THEN
        RAISE EXCEPTION 'the schema of this database has version %, and this dtqs migrate would set it back to %: update DTQS on this host',
            OLD.value, NEW.value;
    END IF;
    RETURN NEW;
END $$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'settings'::regclass AND tgname = 'keep_schema_version') THEN
        CREATE TRIGGER keep_schema_version BEFORE UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION keep_schema_version();
    END IF;
END $$;

-- Turns of rate limits. Not logged: after a crash of the server every limit is unused, which is all that is lost.
CREATE UNLOGGED TABLE IF NOT EXISTS rates (
    key text PRIMARY KEY,
    free_at timestamptz NOT NULL,
    promised_at timestamptz NOT NULL
) WITH (fillfactor = 50);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'rates'::regclass AND attname = 'taken' AND NOT attisdropped) THEN
        ALTER TABLE rates DROP COLUMN taken;
    END IF;
END $$;
SELECT add_index('rates_free_at', 'ON rates (free_at)');

-- Rules that submit tasks by the clock.
CREATE TABLE IF NOT EXISTS schedules (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    rule text NOT NULL,
    task_type text NOT NULL,
    payload json NOT NULL,
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
SELECT add_column('files', 'kept_from', 'timestamptz NOT NULL DEFAULT now()');
SELECT add_index('files_task_id', 'ON files (task_id) WHERE task_id IS NOT NULL');
SELECT add_index('files_kept_from', 'ON files (kept_from)');
DROP INDEX IF EXISTS files_created_at;

-- Up to version 2 values were jsonb. Each table is written anew, once: some seconds for a million rows. The view must go for that; what others were
-- granted on it is granted again below.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'tasks'::regclass AND attname = 'payload' AND atttypid = 'jsonb'::regtype) THEN
        PERFORM set_config('dtqs.view_grants', coalesce(string_agg(format('GRANT %s%s ON task_status TO %s%s', a.privilege_type, held.columns,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END), '; '), ''), true)
        FROM (
            SELECT relacl, '' FROM pg_class WHERE oid = to_regclass('task_status')
            UNION ALL SELECT attacl, format('(%I)', attname) FROM pg_attribute WHERE attrelid = to_regclass('task_status')
        ) held(acl, columns), aclexplode(held.acl) a;
        DROP VIEW IF EXISTS task_status;
        ALTER TABLE tasks
            ALTER payload TYPE json USING payload::json,
            ALTER result TYPE json USING result::json,
            ALTER error TYPE json USING error::json;
        ALTER TABLE logs ALTER data TYPE json USING data::json;
        ALTER TABLE schedules ALTER payload TYPE json USING payload::json;
    END IF;
END $$;

-- Every task with its status, and where it runs while it runs. It is made under another name first: to replace it would wait for its readers.
CREATE OR REPLACE VIEW task_status_wanted AS
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
DO $$
BEGIN
    IF pg_get_viewdef('task_status_wanted'::regclass) IS DISTINCT FROM pg_get_viewdef(to_regclass('task_status')) THEN
        EXECUTE 'CREATE OR REPLACE VIEW task_status AS ' || pg_get_viewdef('task_status_wanted'::regclass);
    END IF;
    IF current_setting('dtqs.view_grants', true) <> '' THEN
        EXECUTE current_setting('dtqs.view_grants');
    END IF;
END $$;
DROP VIEW task_status_wanted;

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

DROP FUNCTION add_column(regclass, text, text);
DROP FUNCTION add_index(text, text, text);
