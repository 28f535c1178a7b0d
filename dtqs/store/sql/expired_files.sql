-- The keeper: files past their time; their rows go first, what lies in the store is swept.
DELETE FROM files WHERE id IN (SELECT id FROM files WHERE kept_from < now() - %(days)s * interval '1 day' ORDER BY kept_from LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING id::text
