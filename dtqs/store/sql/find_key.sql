-- The API: the key with this hash.
SELECT id::text, name, scopes, {ceilings}
FROM api_keys
WHERE hash = %(hash)s AND revoked_at IS NULL
