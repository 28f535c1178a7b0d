-- The doctor: the standbys that follow now, and those that a commit waits for. Without the right to read all statistics
-- a role sees only names and processes.
SELECT
    current_setting('synchronous_standby_names'),
    coalesce(array_agg(application_name ORDER BY application_name), '{}')
FROM pg_stat_replication
WHERE
    state IS DISTINCT FROM 'backup' AND application_name <> 'pg_basebackup'
    AND pid NOT IN (
        SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL
    )
