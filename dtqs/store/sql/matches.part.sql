(%(task_type)s::text IS NULL OR task.task_type = %(task_type)s)
            AND (%(tag)s::text IS NULL OR task.tags @> ARRAY[%(tag)s::text])
            AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)
            AND (NOT %(unretried)s::bool OR NOT EXISTS (
                SELECT 1 FROM tasks again WHERE again.retry_of = task.id OFFSET 0
            ))
