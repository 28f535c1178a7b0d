-- A keeper: summarize the newest rows in the BRIN index on the time of log rows. A look at the newest rows reads all
-- rows that are not summarized. The server summarizes by itself only as far as its short list of such work goes.
-- This leaves out a day that is being analyzed or vacuumed: the server ends an autovacuum that others wait for.
SELECT brin_summarize_new_values(day_index.indexrelid::regclass)
FROM generate_series(0, 1) days
JOIN pg_index day_index
    ON day_index.indrelid = to_regclass('logs_' || to_char((now() AT TIME ZONE 'UTC')::date - days, 'YYYYMMDD'))
JOIN pg_class relation ON relation.oid = day_index.indexrelid
JOIN pg_am method ON method.oid = relation.relam AND method.amname = 'brin'
WHERE NOT EXISTS (
    SELECT
    FROM pg_locks lock
    WHERE lock.relation = day_index.indrelid AND lock.mode = 'ShareUpdateExclusiveLock'
)
