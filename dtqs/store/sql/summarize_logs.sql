-- The keeper: have the BRIN index of the log's times know what was written of late; until then every look at the newest rows reads all of that. The server does it by
-- itself only as far as its short list of such work goes. Not while somebody analyzes or vacuums the day: who waits for those ends them.
SELECT brin_summarize_new_values(i.indexrelid::regclass) FROM generate_series(0, 1) d
JOIN pg_index i ON i.indrelid = to_regclass('logs_' || to_char((now() AT TIME ZONE 'UTC')::date - d, 'YYYYMMDD'))
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'brin'
WHERE NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock')
