-- The API, in the transaction of a submit with an Idempotency-Key: take the key, unless it is taken. The hash by the
-- content of the uploads has a row of its own: older code compares the whole `body_hash`. No client's key has a space.
WITH taken AS (
    INSERT INTO idempotency_keys (api_key_id, key, body_hash, task_ids)
    VALUES (%(api_key_id)s::uuid, %(key)s, %(body_hash)s, %(ids)s::text::uuid[])
    ON CONFLICT (api_key_id, key) DO NOTHING
    RETURNING api_key_id, key, task_ids
),
content AS (
    INSERT INTO idempotency_keys (api_key_id, key, body_hash, task_ids)
    SELECT api_key_id, key || ' content', %(content_hash)s::bytea, task_ids
    FROM taken
    WHERE octet_length(%(content_hash)s::bytea) > 0
    ON CONFLICT (api_key_id, key) DO UPDATE
    SET body_hash = excluded.body_hash, task_ids = excluded.task_ids, created_at = now()
)
SELECT 1
FROM taken
