-- The API: the row of an upload that is complete on disk.
INSERT INTO files (id, name, media_type, size_bytes, sha256, submitted_by)
VALUES (%(file_id)s::uuid, %(name)s, %(media_type)s, %(size_bytes)s, %(sha256)s, %(owner)s::uuid)
ON CONFLICT (id) DO NOTHING
RETURNING 1
