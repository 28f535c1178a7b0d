-- A keeper: delete expired idempotency keys, worker rows, unused rate limits and ended sessions, a batch of each. It
-- returns the size of the largest batch.
WITH expired_keys AS (
    DELETE FROM idempotency_keys
    WHERE (api_key_id, key) IN (
        SELECT api_key_id, key
        FROM idempotency_keys
        WHERE created_at < now() - %(hours)s * interval '1 hour'
        ORDER BY created_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
),
dead_workers AS (
    DELETE FROM workers
    WHERE id IN (
        SELECT worker.id
        FROM workers worker
        LEFT JOIN leases lease ON lease.worker_id = worker.id
        WHERE worker.dead_at < now() - interval '1 day' AND lease.id IS NULL
        ORDER BY worker.dead_at
        LIMIT %(limit)s
    )
    RETURNING 1
),
unused_rates AS (
    DELETE FROM rates
    WHERE key IN (
        SELECT key
        FROM rates
        WHERE free_at < now() - interval '1 hour' AND promised_at < now() - interval '1 hour'
        ORDER BY free_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
),
sessions AS (
    DELETE FROM ended_sessions
    WHERE id IN (
        SELECT id
        FROM ended_sessions
        WHERE expires_at < now() - interval '1 day'
        ORDER BY expires_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
)
SELECT greatest(
    (SELECT count(*) FROM expired_keys),
    (SELECT count(*) FROM dead_workers),
    (SELECT count(*) FROM unused_rates),
    (SELECT count(*) FROM sessions)
)::int
