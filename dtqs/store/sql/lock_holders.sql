-- `dtqs migrate`, after it waited in vain for a lock: the sessions that hold the table or one of its partitions, the
-- longest transactions first.
SELECT
    session.pid, session.usename, session.application_name,
    coalesce(', for ' || extract(epoch FROM now() - session.xact_start)::int || ' s', '')
FROM pg_stat_activity session
WHERE session.pid IN (
    SELECT lock.pid
    FROM pg_locks lock
    WHERE lock.granted
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (
            lock.relation = to_regclass(%(table)s)
            OR lock.relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(table)s))
        )
) AND session.pid <> pg_backend_pid()
ORDER BY session.xact_start
LIMIT 3
