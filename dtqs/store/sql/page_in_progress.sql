-- A page of running tasks: from the leases, of which there are few.
WITH seen AS MATERIALIZED (SELECT u.id FROM leases l CROSS JOIN unnest(l.task_ids) u(id) WHERE u.id < %(after)s::uuid ORDER BY u.id DESC LIMIT %(look)s)
SELECT t.id::text, (%(task_type)s::text IS NULL OR t.task_type = %(task_type)s) AND (%(tag)s::text IS NULL OR t.tags @> ARRAY[%(tag)s::text])
    AND (%(owner)s::uuid IS NULL OR t.submitted_by = %(owner)s::uuid)
FROM seen JOIN tasks t ON t.id = seen.id ORDER BY t.id DESC
