-- A page of running tasks, from the leases: there are few.
WITH seen AS MATERIALIZED (
    SELECT member.id
    FROM leases lease
    CROSS JOIN unnest(lease.task_ids) member(id)
    WHERE member.id < %(after)s::uuid
    ORDER BY member.id DESC
    LIMIT %(look)s
)
SELECT
    task.id::text,
    (%(task_type)s::text IS NULL OR task.task_type = %(task_type)s)
        AND (%(tag)s::text IS NULL OR task.tags @> ARRAY[%(tag)s::text])
        AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)
FROM seen
JOIN tasks task ON task.id = seen.id
ORDER BY task.id DESC
