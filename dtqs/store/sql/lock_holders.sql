-- dtqs migrate, where a lock did not come: who holds the table or a partition of it, the longest transactions first.
SELECT a.pid, a.usename, a.application_name,
    coalesce(', for ' || extract(epoch FROM now() - a.xact_start)::int || ' s', '')
FROM pg_stat_activity a
WHERE a.pid IN (
    SELECT l.pid FROM pg_locks l
    WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.relation = to_regclass(%(table)s)
            OR l.relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(table)s)))
) AND a.pid <> pg_backend_pid()
ORDER BY a.xact_start LIMIT 3
