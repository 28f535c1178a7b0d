-- The keeper: partitions of logs past their time.
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'logs'::regclass AND c.relname < 'logs_' || to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::int, 'YYYYMMDD') ORDER BY 1
