-- `dtqs key revoke`, by name or id.
UPDATE api_keys
SET revoked_at = now()
WHERE (name = %(name)s OR id::text = %(name)s) AND revoked_at IS NULL
RETURNING id::text
