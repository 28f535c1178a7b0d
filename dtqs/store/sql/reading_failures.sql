-- Readings: the last failures among the newest failed tasks. An index by the time of a failure would cost each failure.
WITH seen AS MATERIALIZED (
    SELECT task_id, at
    FROM failures
    WHERE outcome = 'failed'
    ORDER BY task_id DESC
    LIMIT %(look)s
),
newest AS MATERIALIZED (
    SELECT task_id, at
    FROM seen
    ORDER BY at DESC
    LIMIT %(limit)s
)
SELECT task.id::text, task.task_type, 'failed', {utc newest.at}, task.error ->> 'message'
FROM newest
JOIN tasks task ON task.id = newest.task_id
ORDER BY newest.at DESC
