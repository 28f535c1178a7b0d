-- The API, after insert_key found the key taken: the row of the submit that took it, and the hash by the content of its
-- uploads. It is a statement of its own because the snapshot of insert_key does not contain that row. An expired row
-- may wait for its removal.
SELECT
    first.body_hash,
    (
        SELECT content.body_hash
        FROM idempotency_keys content
        WHERE content.api_key_id = first.api_key_id
            AND content.key = first.key || ' content'
            AND content.task_ids = first.task_ids
    ),
    first.task_ids::text[]
FROM idempotency_keys first
WHERE first.api_key_id = %(api_key_id)s::uuid
    AND first.key = %(key)s
    AND first.created_at >= now() - %(hours)s * interval '1 hour'
