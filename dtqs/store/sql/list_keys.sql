-- `dtqs key list`.
SELECT id::text, name, scopes, {ceilings}, {utc created_at}, {utc revoked_at}
FROM api_keys
ORDER BY created_at, id
