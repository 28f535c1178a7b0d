-- The keeper: days of logs a week ahead.
SELECT make_logs_partition((now() AT TIME ZONE 'UTC')::date + d) FROM generate_series(0, 7) AS d
