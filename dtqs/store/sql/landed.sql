-- A worker whose finish found its lease gone: the outcomes of its tasks, which tell whether an earlier try succeeded.
SELECT id::text, coalesce(outcome, 'pending')
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[]) AND worker_id = %(worker_id)s::uuid
