-- API: how many bytes of payload and result some tasks hold, so that not too many are read at once.
SELECT id::text, octet_length(payload::text) + coalesce(octet_length(result::text), 0) FROM tasks WHERE id = ANY (%(ids)s::text::uuid[])
