-- The API, for a stream by ticket: the key that the ticket names, unless it was revoked.
SELECT id::text, name, scopes, {ceilings}
FROM api_keys
WHERE id = %(id)s::uuid AND revoked_at IS NULL
