-- The API: status and progress of some tasks, without payloads and results, which may be large for a hundred tasks.
SELECT
    task.id::text,
    task.status,
    task.attempt,
    CASE WHEN task.attempt > 0 AND NOT (task.light AND task.status = 'completed') THEN (
        SELECT log.data
        FROM logs log
        WHERE log.task_id = task.id AND {lived log.at} AND log.event = 'progress' AND log.attempt = task.attempt
        ORDER BY log.id DESC
        LIMIT 1
    ) END
FROM task_status task
WHERE task.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)
