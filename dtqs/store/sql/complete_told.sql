-- As complete.sql, for a few light tasks. Each row has the task's record as JSON if its log has no other row. The event
-- carries this record, so no API process reads it.
{completed}
    RETURNING task.*
),
logged AS (
    INSERT INTO logs (task_id, event, attempt, worker_id, level)
    SELECT id, 'completed', attempts, worker_id, 'info'
    FROM settled
    RETURNING id, task_id
)
SELECT
    logged.id,
    task.id::text,
    'completed',
    CASE WHEN NOT EXISTS (
        SELECT
        FROM logs log
        WHERE log.task_id = task.id AND {lived log.at}
    ) THEN to_json(record)::text END
FROM logged
JOIN (
    SELECT settled.*, outcome AS status, attempts AS attempt, split_part(origin, ' ', 1) AS request_id
    FROM settled
) task ON task.id = logged.task_id
CROSS JOIN LATERAL (
    {record}
) record
