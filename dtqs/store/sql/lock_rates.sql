-- A worker, first of two statements of one transaction: lock the rows of its rate limits in the order of their keys. An
-- unused limit gets its row here: a locking selection would not see a row that another session inserts meanwhile.
INSERT INTO rates (key, free_at, promised_at)
SELECT wanted.key, now(), now()
FROM unnest(%(keys)s::text[]) AS wanted(key)
ORDER BY wanted.key
ON CONFLICT (key) DO UPDATE SET free_at = rates.free_at
