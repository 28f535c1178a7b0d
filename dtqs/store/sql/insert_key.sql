-- The API, in the transaction of a submit with an Idempotency-Key: take the key, unless it is taken.
INSERT INTO idempotency_keys (api_key_id, key, body_hash, task_ids)
VALUES (%(api_key_id)s::uuid, %(key)s, %(body_hash)s, %(ids)s::text::uuid[])
ON CONFLICT (api_key_id, key) DO NOTHING
RETURNING 1
