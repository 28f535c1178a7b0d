-- The API, for a retry: the outcome of the old task, and the retry that exists already.
SELECT task.outcome, (SELECT retry.id::text FROM tasks retry WHERE retry.retry_of = task.id)
FROM tasks task
WHERE task.id = %(retry_of)s::uuid
