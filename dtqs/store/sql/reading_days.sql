-- Readings: the partitions of logs that may hold the newest rows, today's first, and how many pages each has.
SELECT c.relname, pg_relation_size(c.oid) / current_setting('block_size')::int
FROM generate_series(0, 1) d JOIN pg_class c ON c.oid = to_regclass('logs_' || to_char((now() AT TIME ZONE 'UTC')::date - d, 'YYYYMMDD')) ORDER BY d
