-- A worker whose finish found its lease gone: whether an earlier saying of it had landed, the rows of tasks say.
SELECT id::text, coalesce(outcome, 'pending') FROM tasks WHERE id = ANY (%(ids)s::text::uuid[]) AND worker_id = %(worker_id)s::uuid
