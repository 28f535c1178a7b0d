-- The API: which of these tasks exist, of one owner or of all.
SELECT id::text
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)
