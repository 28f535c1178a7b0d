-- The API, after insert_key found the key taken: the row of the submit that took it. It is a statement of its own
-- because the snapshot of insert_key does not contain that row. An expired row may wait for its removal.
SELECT body_hash, task_ids::text[]
FROM idempotency_keys
WHERE api_key_id = %(api_key_id)s::uuid AND key = %(key)s
    AND created_at >= now() - %(hours)s * interval '1 hour'
