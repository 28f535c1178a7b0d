-- As complete.sql, for a few light tasks. Each row has the task's record as JSON: an event carries it, so that no API
-- process reads it. A light task that is completed shows no progress.
{completed}
    RETURNING task.*
),
logged AS (
    INSERT INTO logs (task_id, event, attempt, worker_id, level)
    SELECT id, 'completed', attempts, worker_id, 'info'
    FROM settled
    RETURNING id, task_id
)
SELECT logged.id, task.id::text, 'completed', to_json(record)::text
FROM logged
JOIN (
    SELECT settled.*, outcome AS status, attempts AS attempt, split_part(origin, ' ', 1) AS request_id
    FROM settled
) task ON task.id = logged.task_id
CROSS JOIN LATERAL (
    {record_of_light}
) record
