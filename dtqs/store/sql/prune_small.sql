-- The keeper: idempotency keys and worker rows past their time; a few at a time.
WITH k AS (DELETE FROM idempotency_keys WHERE (api_key_id, key) IN (SELECT api_key_id, key FROM idempotency_keys WHERE created_at < now() - %(hours)s * interval '1 hour' ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)),
w AS (DELETE FROM workers WHERE dead_at < now() - interval '1 day' AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.worker_id = workers.id))
SELECT 1
