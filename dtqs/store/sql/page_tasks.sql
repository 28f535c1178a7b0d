-- A page of all tasks, or of the completed ones, newest first. It walks the primary key from its end, and looks at a
-- bounded number of rows.
WITH seen AS MATERIALIZED (
    SELECT id, task_type, tags, outcome, submitted_by
    FROM tasks
    WHERE id < %(after)s::uuid
    ORDER BY id DESC
    LIMIT %(look)s
)
SELECT
    id::text,
    (%(task_type)s::text IS NULL OR task_type = %(task_type)s)
        AND (%(tag)s::text IS NULL OR tags @> ARRAY[%(tag)s::text])
        AND (%(status)s::text IS NULL OR outcome = %(status)s)
        AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)
FROM seen
ORDER BY id DESC
