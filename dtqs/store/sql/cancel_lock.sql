-- Whoever cancels, first of two statements of one transaction: lock the tasks, so that no finish can move them.
SELECT id FROM tasks WHERE id = ANY (%(ids)s::text::uuid[]) AND outcome IS NULL ORDER BY id FOR NO KEY UPDATE
