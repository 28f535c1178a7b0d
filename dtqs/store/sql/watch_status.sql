-- Streams: where the watched tasks are now, and the last log row of each.
SELECT
    task.id::text,
    task.status,
    task.attempt,
    (SELECT log.id FROM logs log WHERE log.task_id = task.id AND {lived log.at} ORDER BY log.id DESC LIMIT 1)
FROM task_status task
WHERE task.id = ANY (%(ids)s::text::uuid[])
