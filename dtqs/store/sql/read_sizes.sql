-- The API: the bytes of payload and result of some tasks, so that it reads few enough at once.
SELECT id::text, octet_length(payload::text) + coalesce(octet_length(result::text), 0)
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[])
