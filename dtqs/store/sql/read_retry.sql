-- The retry that is there already, and how the old task ended.
SELECT t.outcome, (SELECT r.id::text FROM tasks r WHERE r.retry_of = t.id) FROM tasks t WHERE t.id = %(retry_of)s::uuid
