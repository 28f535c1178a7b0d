-- The yardstick's tables: only those columns of the product's tables that the protocol needs.
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    task_type text NOT NULL,
    light boolean NOT NULL,
    payload jsonb NOT NULL,
    priority smallint NOT NULL DEFAULT 5,
    max_retries smallint NOT NULL DEFAULT 5,
    attempts smallint NOT NULL DEFAULT 0,
    outcome text,
    result jsonb,
    error jsonb,
    worker_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    cancel_requested_at timestamptz
) WITH (fillfactor = 50);
CREATE TABLE backlog (
    task_id uuid PRIMARY KEY,
    task_type text NOT NULL,
    light boolean NOT NULL,
    priority smallint NOT NULL,
    due_at timestamptz NOT NULL,
    publish_at timestamptz NOT NULL,
    publishes smallint NOT NULL DEFAULT 0
);
CREATE INDEX ON backlog (publish_at);
CREATE INDEX ON backlog (priority DESC, task_id);
CREATE TABLE workers (
    id uuid PRIMARY KEY,
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    dead_at timestamptz
) WITH (fillfactor = 50);
CREATE TABLE leases (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    task_ids uuid[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    effect text
);
CREATE INDEX ON leases (worker_id);
CREATE TABLE logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,
    attempt smallint,
    worker_id uuid,
    level text NOT NULL,
    message text,
    data jsonb
) PARTITION BY RANGE (at);
CREATE INDEX ON logs (task_id, id);
CREATE INDEX ON logs USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
DO $$ BEGIN
    FOR day IN -1..6 LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF logs FOR VALUES FROM (%L) TO (%L)',
            'logs_' || to_char(current_date + day, 'YYYYMMDD'),
            current_date + day,
            current_date + day + 1
        );
    END LOOP;
    -- on a fresh database a prepared plan would be a sequential scan, and stay one while the table grows
    EXECUTE format('ALTER ROLE current_user IN DATABASE %I SET enable_seqscan = off', current_database());
    EXECUTE format('ALTER ROLE current_user IN DATABASE %I SET jit = off', current_database());
END $$;
