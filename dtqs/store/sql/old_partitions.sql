-- A keeper: expired days of logs, also those that an earlier turn left half detached, or detached and not dropped.
SELECT day.relname, parent.inhrelid IS NOT NULL, coalesce(parent.inhdetachpending, false)
FROM pg_class day
LEFT JOIN pg_inherits parent ON parent.inhrelid = day.oid AND parent.inhparent = 'logs'::regclass
WHERE day.relkind = 'r'
    AND day.relnamespace = (SELECT logs.relnamespace FROM pg_class logs WHERE logs.oid = 'logs'::regclass)
    AND day.relname ~ '^logs_[0-9]{8}$'
    AND day.relname < 'logs_' || to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::int, 'YYYYMMDD')
ORDER BY 1
