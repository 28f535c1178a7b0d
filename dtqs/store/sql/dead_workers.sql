-- A keeper: which owners of folders of temporary files are marked dead.
SELECT id::text, dead_at IS NOT NULL
FROM workers
WHERE id = ANY (%(ids)s::text::uuid[])
