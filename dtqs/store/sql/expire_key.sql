-- The API, before insert_key: remove the idempotency key if it has expired.
DELETE FROM idempotency_keys
WHERE api_key_id = %(api_key_id)s::uuid AND key = %(key)s AND created_at < now() - %(hours)s * interval '1 hour'
