-- The keeper: days of logs past their time, also those that an earlier turn has only half detached, or detached and not dropped.
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'logs'::regclass
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT p.relnamespace FROM pg_class p WHERE p.oid = 'logs'::regclass) AND c.relname ~ '^logs_[0-9]{8}$'
    AND c.relname < 'logs_' || to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::int, 'YYYYMMDD') ORDER BY 1
