-- A keeper: the log's partitions for a week ahead.
SELECT make_logs_partition((now() AT TIME ZONE 'UTC')::date + days)
FROM generate_series(0, 7) AS days
