-- The API: the bytes of payload and result of some tasks, of one owner or of all, so that it reads few enough at once.
SELECT id::text, octet_length(payload::text) + coalesce(octet_length(result::text), 0)
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)
