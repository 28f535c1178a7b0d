-- A page of pending tasks, from the backlog.
WITH seen AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id < %(after)s::uuid
    ORDER BY task_id DESC
    LIMIT %(look)s
)
SELECT
    task.id::text,
    (%(task_type)s::text IS NULL OR task.task_type = %(task_type)s)
        AND (%(tag)s::text IS NULL OR task.tags @> ARRAY[%(tag)s::text])
        AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)
FROM seen
JOIN tasks task ON task.id = seen.task_id
ORDER BY task.id DESC
