-- A page of failed or cancelled tasks, from the table that has only those.
WITH seen AS MATERIALIZED (
    SELECT task_id, task_type
    FROM failures
    WHERE outcome = %(status)s AND task_id < %(after)s::uuid
    ORDER BY task_id DESC
    LIMIT %(look)s
)
SELECT seen.task_id::text, coalesce(task.matches, false), (SELECT count(*) FROM seen)
FROM seen
LEFT JOIN LATERAL (
    SELECT
        {matches} AS matches
    FROM tasks task
    WHERE task.id = seen.task_id AND (%(task_type)s::text IS NULL OR seen.task_type = %(task_type)s)
    OFFSET 0
) task ON true
WHERE task.matches OR seen.task_id = (SELECT task_id FROM seen ORDER BY task_id LIMIT 1)
ORDER BY seen.task_id DESC
