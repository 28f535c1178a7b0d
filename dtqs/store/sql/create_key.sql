-- dtqs key create.
INSERT INTO api_keys (id, name, hash, scopes) VALUES (%(id)s::uuid, %(name)s, %(hash)s, %(scopes)s::text[]) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING RETURNING 1
