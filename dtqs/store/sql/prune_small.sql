-- The keeper: idempotency keys, worker rows, unused rate limits and ended sessions past their time; a batch of each, and the size of the largest.
WITH k AS (
    DELETE FROM idempotency_keys WHERE (api_key_id, key) IN (
        SELECT api_key_id, key FROM idempotency_keys WHERE created_at < now() - %(hours)s * interval '1 hour'
        ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
),
w AS (
    DELETE FROM workers WHERE id IN (
        SELECT w.id FROM workers w LEFT JOIN leases l ON l.worker_id = w.id WHERE w.dead_at < now() - interval '1 day' AND l.id IS NULL
        ORDER BY w.id LIMIT %(limit)s
    ) RETURNING 1
),
r AS (
    DELETE FROM rates WHERE key IN (
        SELECT key FROM rates WHERE free_at < now() - interval '1 hour' AND promised_at < now() - interval '1 hour'
        ORDER BY free_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
),
s AS (
    DELETE FROM ended_sessions WHERE id IN (
        SELECT id FROM ended_sessions WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT greatest((SELECT count(*) FROM k), (SELECT count(*) FROM w), (SELECT count(*) FROM r), (SELECT count(*) FROM s))::int
