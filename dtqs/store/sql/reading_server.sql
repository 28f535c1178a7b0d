-- Metrics: tasks in progress, pages of the backlog, and facts about this database. Its size is read only if wanted,
-- since that looks at each of its files. Without pg_monitor a role sees the transactions of its own sessions only.
SELECT
    (SELECT coalesce(sum(cardinality(task_ids)), 0)::bigint FROM leases),
    pg_relation_size('backlog') / current_setting('block_size')::bigint,
    (SELECT numbackends FROM pg_stat_database WHERE datname = current_database()),
    current_setting('max_connections')::int,
    CASE WHEN %(with_size)s THEN pg_database_size(current_database()) END,
    coalesce((
        SELECT max(date_part('epoch', now() - xact_start))
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    ), 0)
