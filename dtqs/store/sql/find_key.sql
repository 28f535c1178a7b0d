-- The API: whose key is it?
SELECT id::text, name, scopes FROM api_keys WHERE hash = %(hash)s AND revoked_at IS NULL
