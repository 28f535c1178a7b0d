-- The API, for the session of a browser: is the key that it was begun with still good?
SELECT id::text, name, scopes, {ceilings} FROM api_keys WHERE id = %(id)s::uuid AND revoked_at IS NULL
