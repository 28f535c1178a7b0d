-- A page of pending tasks: from the backlog.
WITH seen AS MATERIALIZED (SELECT task_id FROM backlog WHERE task_id < %(after)s::uuid ORDER BY task_id DESC LIMIT %(look)s)
SELECT t.id::text, (%(task_type)s::text IS NULL OR t.task_type = %(task_type)s) AND (%(tag)s::text IS NULL OR t.tags @> ARRAY[%(tag)s::text])
    AND (%(owner)s::uuid IS NULL OR t.submitted_by = %(owner)s::uuid)
FROM seen JOIN tasks t ON t.id = seen.task_id ORDER BY t.id DESC
