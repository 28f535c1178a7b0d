-- The log of one task, in its order.
SELECT id, event, attempt, level, message, data, {utc at}, worker_id::text
FROM logs
WHERE task_id = %(task_id)s::uuid AND {lived at} AND id > %(after)s
ORDER BY id
LIMIT %(limit)s
