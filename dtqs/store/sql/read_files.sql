-- The API and workers: files by id, of one owner or of all.
SELECT id::text, name, media_type, size_bytes, sha256, {utc created_at}
FROM files
WHERE id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)
