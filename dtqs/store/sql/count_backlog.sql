-- The API's /backlog: due tasks and tasks in progress by type, each counted up to a limit.
-- A due row is published again after `far_out` seconds at the latest, so later rows are not read. It looks at `look`
-- rows at most: a rare type behind all these is not counted.
SELECT counted.task_type, sum(counted.due)::int, sum(counted.in_progress)::int
FROM (
    SELECT due_now.task_type, 1 AS due, 0 AS in_progress
    FROM (
        SELECT task_type
        FROM (
            SELECT task_type, due_at
            FROM backlog
            WHERE publish_at <= now() + %(far_out)s * interval '1 s'
            ORDER BY publish_at
            LIMIT %(look)s
        ) near
        WHERE due_at <= now()
            AND (%(task_types)s::text[] IS NULL OR task_type = ANY (%(task_types)s::text[]))
        LIMIT %(limit)s
    ) due_now
    UNION ALL
    SELECT running.task_type, 0, 1
    FROM (
        SELECT task.task_type
        FROM leases lease
        CROSS JOIN LATERAL unnest(lease.task_ids) AS held (id)
        JOIN tasks task ON task.id = held.id
        WHERE %(task_types)s::text[] IS NULL OR task.task_type = ANY (%(task_types)s::text[])
        LIMIT %(limit)s
    ) running
) counted
GROUP BY counted.task_type
ORDER BY counted.task_type
