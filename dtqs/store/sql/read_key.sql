-- A loser reads the winner's row, in a statement of its own: the one before could not see it.
SELECT body_hash, task_ids::text[] FROM idempotency_keys WHERE api_key_id = %(api_key_id)s::uuid AND key = %(key)s
