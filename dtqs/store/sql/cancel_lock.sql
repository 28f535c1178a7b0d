-- A cancel, first of two statements of one transaction: lock the tasks, so that no finish can move them.
SELECT task.id::text
FROM tasks task
WHERE task.id = ANY (%(ids)s::text::uuid[]) AND task.outcome IS NULL
ORDER BY task.id
FOR NO KEY UPDATE
