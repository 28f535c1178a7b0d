-- Tasks count the worker processes that died while running them.
-- compatible: 1
-- locks: tasks, backlog, rates, files

ALTER TABLE tasks ADD COLUMN deaths smallint NOT NULL DEFAULT 0;

-- Version 1 was in use while it still changed. The rest brings its first databases up to date.
-- On later databases of version 1 it changes nothing.
ALTER TABLE tasks SET (fillfactor = 35);
DROP INDEX IF EXISTS backlog_order;
ALTER TABLE files ADD COLUMN IF NOT EXISTS kept_from timestamptz NOT NULL DEFAULT now();
CREATE INDEX IF NOT EXISTS files_kept_from ON files (kept_from);
DROP INDEX IF EXISTS files_created_at;
CREATE UNLOGGED TABLE IF NOT EXISTS rates (
    key text PRIMARY KEY,
    free_at timestamptz NOT NULL,
    promised_at timestamptz NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE rates DROP COLUMN IF EXISTS taken;
CREATE INDEX IF NOT EXISTS rates_free_at ON rates (free_at);

-- Create one day's partition of logs, then attach it: finishes wait only for the attach. Days are UTC days.
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
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN
        SELECT c.oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'logs'::regclass AND c.reloptions IS NULL
    LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_threshold = -1)', part);
    END LOOP;
END $$;
