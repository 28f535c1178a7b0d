-- Whoever cancels, first of two statements of one transaction: lock the tasks, so that no finish can move them.
SELECT t.id::text FROM tasks t WHERE t.id = ANY (%(ids)s::text::uuid[]) AND t.outcome IS NULL ORDER BY t.id FOR NO KEY UPDATE
